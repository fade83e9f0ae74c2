"""Models that are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from tests.support.configs import mistake, trained, with_value


def compared(model: dict[str, Any]) -> Settings:
    config = with_value("models.cnn", {"layers": ["flatten"], "batch": 10} | model)
    return Settings.load(config)


def test_a_comparison_is_a_model_for_each_name() -> None:
    settings = compared(
        {
            "optimizer": {"name": "momentum", "learning_rate": 0.5},
            "schedule": {"name": "cosine", "warmup": 0.1},
            "compare": {
                "plain": None,
                "adam": {"optimizer": "adam", "epochs": 7},
                "slow": {"optimizer": {"learning_rate": 0.1}, "schedule": {"warmup": 0.3}},
                "deep": {"layers": [{"conv": 4}, "flatten"], "seeds": [0, 1]},
                0.25: {"label_smoothing": 0.25},
            },
        }
    )
    names = ["cnn-plain", "cnn-adam", "cnn-slow", "cnn-deep", "cnn-0.25"]
    assert settings.comparisons == {"cnn": names}
    assert settings.models_of("pets") == names
    assert settings.runs_of("pets")[3:5] == ["cnn-deep-seed0", "cnn-deep-seed1"]
    plain, adam, slow, deep, smooth = (trained(settings, name) for name in names)
    base = {"name": "momentum", "learning_rate": 0.5}
    assert base.items() <= plain["optimizer"].items() and plain["batch"] == 10
    assert (adam["optimizer"] | {"name": "momentum"}, adam["epochs"]) == (plain["optimizer"], 7)
    assert (base | {"learning_rate": 0.1}).items() <= slow["optimizer"].items()
    assert slow["schedule"]["name"] == "cosine" and slow["schedule"]["warmup"] == 0.3
    assert [list(layer) for layer in deep["layers"]] == [["conv"], ["flatten"]]
    assert smooth["label_smoothing"] == 0.25 and smooth["optimizer"] == plain["optimizer"]


def test_a_list_of_optimizers_is_a_model_for_each_and_none_inherits_anothers_settings() -> None:
    settings = compared(
        {
            "optimizer": [
                {"name": "sgd", "learning_rate": 0.3, "weight_decay": 0.2},
                "adam",
                {"name": "sgd", "learning_rate": 0.01},
                {"learning_rate": 0.02},
            ]
        }
    )
    names = ["cnn-sgd", "cnn-adam", "cnn-sgd-2", "cnn-adam-2"]
    assert settings.models_of("pets") == names
    found = [trained(settings, name)["optimizer"] for name in names]
    assert [(o["name"], o["learning_rate"], o["weight_decay"]) for o in found] == [
        ("sgd", 0.3, 0.2), ("adam", 0.001, 0), ("sgd", 0.01, 0), ("adam", 0.02, 0),
    ]  # fmt: skip


def test_an_optimizer_named_in_the_base_is_kept_where_a_member_sets_its_rate_alone() -> None:
    settings = compared({"optimizer": "sgd", "compare": {"a": {"optimizer": {"momentum": 0.5}}}})
    assert trained(settings, "cnn-a")["optimizer"]["name"] == "sgd"


def test_a_data_set_may_name_a_comparison_or_one_of_it() -> None:
    config = with_value("models.cnn.compare", {"a": {}, "b": {"batch": 3}})
    config["models"]["other"] = {"layers": ["flatten"]}
    config["run"]["datasets"] = ["pets", "two"]
    config["datasets"]["two"] = {"source": "two", "models": ["cnn-b", "cnn", "other"]}
    settings = Settings.load(config)
    assert settings.models_of("pets") == ["cnn-a", "cnn-b"]
    assert settings.models_of("two") == ["cnn-b", "cnn-a", "other"]
    config["datasets"]["two"]["models"] = ["cnn-c"]
    assert "datasets.two.models: 'cnn-c' is not in models; did you mean" in mistake(config)


def test_the_documented_comparisons_are_real() -> None:
    text = Path("docs/settings.yaml").read_text()
    comment = text.split("# Side by side: ")[1].split("\n\n")[0]
    lines = [line.removeprefix("  #   ") for line in comment.splitlines() if "  #   " in line]
    shown = yaml.safe_load("\n".join(lines))
    cnn = yaml.safe_load(Path("config.yaml").read_text())["models"]["cnn"]
    config = with_value("models.cnn", cnn | {"optimizer": shown["optimizer"]})
    assert Settings.load(config).models_of("pets") == ["cnn-sgd", "cnn-momentum", "cnn-adam"]
    config = with_value("models.cnn", cnn | {"compare": shown["compare"]})
    assert Settings.load(config).models_of("pets") == ["cnn-wide", "cnn-plain"]


def test_the_report_is_told_what_the_compared_differ_in() -> None:
    members = {"a": {"batch": 3}, "b": {"optimizer": "sgd"}, "c": {"layers": [{"dense": 2}]}}
    told = stage_settings(
        Settings.load(with_value("models.cnn.compare", members)),
        "write_report",
        {"dataset": "pets"},
    )
    differ = told["compared"]["cnn"]
    assert list(differ) == ["cnn-a", "cnn-b", "cnn-c"]
    assert set(differ["cnn-a"]) == {"batch", "optimizer.name", "layers"}
    assert (differ["cnn-a"]["batch"], differ["cnn-b"]["batch"]) == (3, 64)
    assert differ["cnn-b"]["optimizer.name"] == "sgd"
    one = with_value("models.cnn.compare", members)
    one["run"]["models"] = ["cnn-a"]
    assert stage_settings(Settings.load(one), "write_report", {"dataset": "pets"})["compared"] == {}


@pytest.mark.parametrize(
    ("cnn", "said"),
    [
        ({"compare": {"other": {}}}, "models.cnn.compare.other: there is a model cnn-other"),
        ({"compare": {"a": 3}}, "models.cnn.compare.a: a mapping of settings is needed"),
        ({"compare": ["a"]}, "models.cnn.compare is ['a']: input should be a valid dictionary"),
        ({"compare": {"a": {"compare": {"b": {}}}}}, "models.cnn.compare.a: a comparison within a"),
        ({"compare": {"a": {"optimizer": ["adam"]}}}, "models.cnn.compare.a: a comparison within"),
        ({"optimizer": []}, "models.cnn.optimizer: the list is empty"),
        ({"optimizer": ["adam"], "compare": {"a": {}}}, "models.cnn.compare: goes with one"),
        ({"compare": {"a b": {}}}, "models.cnn-a b: a name has letters"),
        ({"compare": {"x-seed1": {}}}, "must not end in -seed and a number"),
        ({"compare": {"a": {"epoch": 3}}}, "models.cnn.compare.a.epoch: unknown key; did you mean 'epochs'?"),
        ({"compare": {"a": {"optimizer": {"name": "adm"}}}}, "models.cnn.compare.a.optimizer.name is 'adm'"),
        ({"compare": {"a": {"layers": [{"cnv": 3}]}}}, "models.cnn.compare.a.layers[0].cnv: unknown key"),
        ({"optimizer": ["sgd", "adm"]}, "models.cnn.optimizer[1].name is 'adm'"),
        ({"optimizer": [{"lr": 1}, "adam"]}, "models.cnn.optimizer[0].lr: unknown key"),
        ({"compare": {"a": {"seeds": [1, 1]}}}, "models.cnn.compare.a: seeds: a seed is given twice"),
        ({"compare": {"a": {"backbone": "vgg"}}}, "models.cnn.compare.a.backbone: 'vgg' is no feature set of kind"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_comparison_is_told_where_it_is_written(
    cnn: dict[str, Any], said: str
) -> None:
    config = with_value("models.cnn", {"layers": ["flatten"]} | cnn)
    config["models"]["cnn-other"] = {"layers": ["flatten"]}
    told = mistake(config)
    assert said in told and len(told.splitlines()) == 1


def test_a_mistake_that_all_of_a_comparison_have_from_one_place_is_told_once() -> None:
    for wrong in ({"epochs": 0}, {"seeds": [1, 1]}, {"layers": [{"dens": 3}]}):
        model = {"layers": ["flatten"], "compare": {"a": {}, "b": {"batch": 3}}} | wrong
        told = mistake(with_value("models.cnn", model))
        assert len(told.splitlines()) == 1 and "compare" not in told and "cnn-a" not in told


def test_the_line_of_a_mistake_in_a_comparison_is_that_of_the_override(tmp_path: Path) -> None:
    first, second = tmp_path / "config.yaml", tmp_path / "mine.yaml"
    first.write_text(
        "models:\n  cnn:\n    layers: [flatten]\n    optimizer: {name: sgd}\n    compare:\n"
        "      fast:\n        epochs: 0\n      slow: {}\n"
    )
    second.write_text("models:\n  cnn:\n    compare:\n\n      slow: {optimizer: {momentum: 2}}\n")
    members = {"fast": {"epochs": 0}, "slow": {"optimizer": {"momentum": 2}}}
    model = {"layers": ["flatten"], "optimizer": {"name": "sgd"}, "compare": members}
    told = mistake(with_value("models.cnn", model), [str(first), str(second)]).splitlines()
    assert told[0].startswith(f"{first}:7: models.cnn.compare.fast.epochs is 0")
    assert told[1].startswith(f"{second}:5: models.cnn.compare.slow.optimizer.momentum is 2")

    second.write_text("models:\n  cnn:\n    optimizer:\n      - sgd\n      - {name: adam, lr: 1}\n")
    model = {"layers": ["flatten"], "optimizer": ["sgd", {"name": "adam", "lr": 1}]}
    told = mistake(with_value("models.cnn", model), [str(first), str(second)]).splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"{second}:5: models.cnn.optimizer[1].lr: unknown key")


def test_the_line_of_a_name_that_is_nowhere_is_told_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("run:\n  datasets: [pets]\n  models: [ccn]\n")
    said = mistake(with_value("run.models", ["ccn"]), [str(file)])
    assert said.startswith(f"{file}:3: run.models: 'ccn' is not in models")


def test_settings_of_a_comparison_concern_no_stage_but_their_own_training() -> None:
    members = {"a": {"batch": 3}, "b": {"epochs": 5}}
    before = Settings.load(with_value("models.cnn.compare", members))
    after = Settings.load(with_value("models.cnn.compare", {**members, "b": {"epochs": 6}}))
    assert trained(before, "cnn-a") == trained(after, "cnn-a")
    assert trained(before, "cnn-b") != trained(after, "cnn-b")
    plain = compared({"compare": {"a": {}}})
    assert trained(plain, "cnn-a") == trained(plain, "cnn")
