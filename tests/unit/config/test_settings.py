"""Settings: what is accepted, and the words for what is not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.settings import REMOVED, Settings, View, source_name
from darkroom.errors import UserError

BASE: dict[str, Any] = {
    "run": {"datasets": ["pets"], "models": ["cnn"], "classifiers": ["svm"]},
    "datasets": {"pets": {"source": "photos.zip"}},
    "models": {"cnn": {"layers": [{"conv": 8}, "flatten"]}},
    "classifiers": {"svm": {"kind": "svm"}},
}


def with_value(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(BASE)
    here: Any = config
    *parents, last = path.split(".")
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return config


def mistake(config: dict[str, Any], files: list[str] | None = None) -> str:
    with pytest.raises(UserError) as error:
        Settings.load(config, files)
    return str(error.value)


def test_the_shipped_configuration_is_valid() -> None:
    config = yaml.safe_load(Path("config.yaml").read_text())
    settings = Settings.load(config)
    assert settings.run.datasets == ["digits"]


def test_every_commented_setting_of_config_yaml_is_real() -> None:
    lines = Path("config.yaml").read_text().splitlines()
    block = lines[next(i for i, line in enumerate(lines) if line == "  # photos:") :]
    text = []
    for line in block:
        if not line.startswith("  #"):
            break
        text.append(line[4:])
    photos = yaml.safe_load("\n".join(text))["photos"]
    settings = Settings.load(with_value("datasets.photos", photos))
    assert settings.datasets["photos"].model_dump(exclude={"source"}) == {
        k: v for k, v in Settings.load(BASE).datasets["pets"].model_dump().items() if k != "source"
    }, "the comment should show the defaults"


def commented(start: str) -> Any:
    """A block of config.yaml that stands behind number signs."""
    lines = Path("config.yaml").read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line == f"  # {start}:")
    text = [lines[first]]
    for line in lines[first + 1 :]:
        if not line.startswith("  #   "):
            break
        text.append(line)
    return yaml.safe_load("\n".join(line[4:] for line in text))[start]


def test_the_commented_backbone_of_config_yaml_is_real() -> None:
    config = with_value("features.mobilenet", commented("mobilenet"))
    config["models"]["tuned"] = commented("mobilenet_head")
    shown = Settings.load(config)
    config["features"]["mobilenet"] = {
        k: config["features"]["mobilenet"][k] for k in ("kind", "application", "settings", "view")
    }
    config["models"]["tuned"]["fine_tune"] = {"blocks": 2}
    assert shown == Settings.load(config), "the comment should show the defaults"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("datasets.pets.splt", {}, "datasets.pets.splt: unknown key; did you mean 'split'?"),
        ("datasets.pets.split.tset", 0.1, "datasets.pets.split.tset: unknown key; did you mean 'test'?"),
        ("dataset", {}, "dataset: unknown key; did you mean 'datasets'?"),
        ("models.cnn.optimizer", {"lr": 1}, "models.cnn.optimizer.lr: unknown key"),
        ("models.cnn.epochs", -1, "models.cnn.epochs is -1: input should be greater than 0"),
        ("models.cnn.epochs", "ten", "models.cnn.epochs is 'ten': input should be a valid integer"),
        ("classifiers.svm.kind", "svn", "classifiers.svm.kind is 'svn': input should be 'svm', 'linear_svm'"),
        ("datasets.pets.split.test", 1.5, "datasets.pets.split.test is 1.5: input should be less than 1"),
        ("datasets.pets.group", "patient", "the expression needs a group in parentheses"),
        ("datasets.pets.group", "(", "not a regular expression"),
        ("models.cnn.layers", [{"convv": 3}], "models.cnn.layers[0].convv: unknown key; did you mean 'conv'?"),
        ("models.cnn.layers", ["flaten"], "models.cnn.layers[0].flaten: unknown key; did you mean 'flatten'?"),
        ("models.cnn.layers", [{"conv": 3, "pool": 2}], "give exactly one of"),
        ("models.cnn.layers", [], "models.cnn: layers"),
        ("models.cnn.features", "last", "no layer is named 'last'"),
        ("models.cnn.seeds", [1, 1], "a seed is given twice"),
        ("run.models", ["ccn"], "run.models: 'ccn' is not in models; did you mean 'cnn'?"),
        ("datasets.pets.classifiers", ["swm"], "datasets.pets.classifiers: 'swm' is not in classifiers; did you mean 'svm'?"),
        ("datasets.pets.classes", {"a": ["x"], "b": ["x"]}, "'x' is in both 'a' and 'b'"),
        ("datasets.pets.classes", ["cat"], "at least two classes"),
        ("datasets.pets.split.quotas", {"a": {"train": "rest", "test": "rest"}}, "only one part may be 'rest'"),
        ("datasets.pets.sha256", "abc", "datasets.pets.sha256 is 'abc'"),
        ("datasets.a/b", {"source": "x"}, "datasets.a/b: a name has letters"),
        ("models.head", {"layers": ["flatten"]}, "models.head: a name has letters"),
        ("models.cnn-seed3", {"layers": ["flatten"]}, "must not end in -seed and a number"),
        ("classifiers.svm.pca", 1.5, "a fraction must lie between 0 and 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_path_value_and_what_is_allowed(
    path: str, value: Any, said: str
) -> None:
    assert said in mistake(with_value(path, value))


def test_every_mistake_is_told_at_once() -> None:
    config = with_value("models.cnn.epochs", 0)
    config["classifiers"]["svm"]["kind"] = "x"
    assert len(mistake(config).splitlines()) == 2


def test_a_missing_value_is_named() -> None:
    config = with_value("datasets.pets", {"classes": ["a", "b"]})
    assert "datasets.pets.source: a value is needed here" in mistake(config)


def test_a_quota_of_no_class_is_told_before_anything_runs() -> None:
    config = with_value("datasets.pets.classes", ["cat", "dog"])
    config["datasets"]["pets"]["split"] = {"quotas": {"cta": {"train": 3}}}
    assert "'cta' is not in classes; did you mean 'cat'?" in mistake(config)


def test_the_file_and_line_of_a_mistake_are_those_of_the_last_file_that_says_it(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "config.yaml", tmp_path / "mine.yaml"
    first.write_text("models:\n  cnn:\n    epochs: 3\n    batch: 0\n")
    second.write_text("# mine\n\nmodels:\n  cnn: {epochs: 0}\n")
    config = with_value("models.cnn.epochs", 0)
    config["models"]["cnn"]["batch"] = 0
    said = mistake(config, [str(first), str(second)])
    assert f"{second}:4: models.cnn.epochs is 0" in said
    assert f"{first}:4: models.cnn.batch is 0" in said


@pytest.mark.parametrize("pattern", REMOVED)
def test_a_removed_setting_is_told_with_what_to_write(pattern: str, tmp_path: Path) -> None:
    kind, *rest = pattern.split(".")
    name = {"classifiers": "svm", "models": "cnn", "datasets": "pets"}.get(kind, "")
    path = ".".join([kind, *(name if part == "*" else part for part in rest)])
    config = with_value(path, 1)
    file = tmp_path / "mine.yaml"
    file.write_text("# mine\n" + yaml.safe_dump(config, sort_keys=False))
    said = mistake(config, [str(file)])
    line = file.read_text().splitlines().index(f"{'  ' * path.count('.')}{rest[-1]}: 1") + 1
    assert said == f"{file}:{line}: {path}: {REMOVED[pattern]}"


def test_a_removed_setting_is_known_by_its_whole_path() -> None:
    config = with_value("classifiers", {"svm-1.5": {"kind": "svm", "search": {}}})
    assert f"classifiers.svm-1.5.search: {REMOVED['classifiers.*.search']}" in mistake(config)
    config = with_value("classifiers.svm.tune.search", {})
    assert "classifiers.svm.tune.search: unknown key" in mistake(config)


def test_short_forms_of_layers_and_variants() -> None:
    config = with_value(
        "models.cnn.layers",
        [{"conv": 50}, {"conv": {"filters": 2, "size": 5}, "name": "second"}, {"pool": 3},
         {"dropout": 0.25}, "flatten", {"dense": 9}, {"activation": "tanh"}, {"residual": [64, 2]}],
    )  # fmt: skip
    config["datasets"]["pets"]["augment"] = {
        "variants": ["flip", {"power_law": 0.4}, {"canny": [50, 225]}, {"rotate": {"copies": 2}}]
    }
    settings = Settings.load(config)
    layers = settings.stage(
        "train_model", {"dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "1"}
    )["model"]["layers"]
    assert layers[0]["conv"]["filters"] == 50 and layers[0]["conv"]["size"] == 3
    assert layers[1] == {
        "conv": {"filters": 2, "size": 5, "stride": 1, "padding": "same", "activation": "relu",
                 "bias": True, "init": "glorot"},
        "name": "second",
    }  # fmt: skip
    assert layers[2]["pool"]["size"] == 3
    assert layers[4] == {"flatten": {}}
    assert layers[7]["residual"] == {"filters": 64, "stride": 2, "activation": "relu"}
    variants = settings.stage("augment_images", {"dataset": "pets"})["variants"]
    assert variants[1] == {"power_law": {"gamma": 0.4, "scale": 1.0}}
    assert variants[2] == {"canny": {"low": 50, "high": 225}}
    assert variants[3]["rotate"]["copies"] == 2


def test_a_stage_reads_its_own_settings_and_no_other() -> None:
    """What a stage does not read must not rerun it."""
    wildcards = {
        "dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "0",
        "features": "cnn-seed0", "classifier": "svm", "view": "64x64-rgb-squash",
    }  # fmt: skip
    stages = ["download_source", "index_files", "check_files", "split_rows", "prepare_images", "augment_images", "train_model", "extract_features",
              "fit_classifier", "evaluate_dataset"]  # fmt: skip
    before = {s: Settings.load(BASE).stage(s, wildcards) for s in stages}
    for path, value, expected in [
        ("models.cnn.epochs", 3, {"train_model"}),
        ("models.cnn.seeds", [0, 1], set()),
        ("models.cnn.batch", 3, {"train_model", "extract_features"}),
        ("datasets.pets.split", {"test": 0.3}, {"split_rows"}),
        ("datasets.pets.split", {"given": "ignore"}, {"split_rows", "augment_images"}),
        ("datasets.pets.classes", {"x": "a", "y": "b"}, {"split_rows"}),
        ("datasets.pets.max_unusable", 0.5, set()),
        ("datasets.pets.decode", {"alpha": "black"}, {"index_files", "prepare_images"}),
        ("datasets.pets.layout", {"kind": "folders"}, {"index_files"}),
        ("datasets.pets.augment", {"variants": ["flip"]}, {"augment_images"}),
        (
            "datasets.pets.augment",
            {"balance": 5},
            {"train_model", "extract_features", "fit_classifier"},
        ),
        ("datasets.pets.license", "CC0", set()),
        ("datasets.pets.sha256", "0" * 64, {"download_source"}),
        ("classifiers.svm.settings", {"C": 3}, {"fit_classifier"}),
        ("evaluate.bootstrap", 10, {"evaluate_dataset"}),
        ("report.samples", 2, set()),
        ("threads", 2, set()),
    ]:
        settings = Settings.load(with_value(path, value))
        changed = {s for s in stages if settings.stage(s, wildcards) != before[s]}
        assert changed == expected, path


def test_swapped_numbers_are_a_change() -> None:
    """Snakemake compares parameter values as a set; within one mapping the text tells."""
    w = {"dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "0"}
    a = with_value("models.cnn.epochs", 10)
    a["models"]["cnn"]["batch"] = 20
    b = with_value("models.cnn.epochs", 20)
    b["models"]["cnn"]["batch"] = 10
    assert repr(Settings.load(a).stage("train_model", w)) != repr(
        Settings.load(b).stage("train_model", w)
    )


def test_the_order_of_classes_is_a_change() -> None:
    a = Settings.load(with_value("datasets.pets.classes", ["a", "b"]))
    b = Settings.load(with_value("datasets.pets.classes", ["b", "a"]))
    w = {"dataset": "pets"}
    assert repr(a.stage("split_rows", w)) != repr(b.stage("split_rows", w))


def test_augmented_classes_are_told_as_source_labels() -> None:
    config = with_value("datasets.pets.classes", {"covid": ["COVID19", "COVID"], "normal": "N"})
    config["datasets"]["pets"]["augment"] = {"variants": ["flip"], "classes": ["covid"]}
    cfg = Settings.load(config).stage("augment_images", {"dataset": "pets"})
    assert cfg["labels"] == ["COVID", "COVID19"]


def test_a_target_of_no_data_set_is_told() -> None:
    with pytest.raises(UserError, match=r"'pest' is not in datasets.*did you mean 'pets'"):
        Settings.load(BASE).stage("split_rows", {"dataset": "pest"})


def test_data_is_a_short_form_of_a_data_set() -> None:
    settings = Settings.load({**BASE, "data": "/a/My photos.zip"})
    assert settings.run.datasets == ["My_photos"]
    assert settings.datasets["My_photos"].source == "/a/My photos.zip"
    assert settings.runs_of("My_photos") == ["cnn-seed0"]


@pytest.mark.parametrize(
    ("source", "name"),
    [("/x/cats dogs/", "cats_dogs"), ("kaggle:owner/Chest-X@3", "Chest-X"),
     ("https://h/a/imagenette2.tgz?dl=1", "imagenette2"), ("x.tar.zst", "x"),
     ("bundled:digits", "digits"), ("/data/images", "data_images")],
)  # fmt: skip
def test_source_name(source: str, name: str) -> None:
    assert source_name(source) == name


def test_models_of_one_data_set_share_a_view_or_have_their_own() -> None:
    config = with_value("models.big", {"layers": ["flatten"], "view": {"size": 96}})
    config["models"]["same"] = {"layers": ["flatten"], "view": {"size": [64, 64]}}
    config["run"]["models"] = ["cnn", "big", "same"]
    settings = Settings.load(config)
    assert list(settings.views_of("pets")) == ["64x64-rgb-squash", "96x96-rgb-squash"]
    assert settings.view_of("pets", "big").shape == (96, 96, 3)
    config["run"]["models"] = ["big", "same"]  # the data set's own stands first wherever it is used
    assert next(iter(Settings.load(config).views_of("pets"))) == "64x64-rgb-squash"


def test_a_view_that_nothing_reads_is_not_prepared() -> None:
    config = with_value("models.big", {"layers": ["flatten"], "view": {"size": 96}})
    config["run"] |= {"models": ["big"], "features": []}
    settings = Settings.load(config)
    assert list(settings.views_of("pets")) == ["96x96-rgb-squash"]
    with pytest.raises(UserError, match="'64x64-rgb-squash' is not in views of"):
        settings.stage("prepare_images", {"dataset": "pets", "view": "64x64-rgb-squash"})
    config["run"]["models"] = []  # the report needs images all the same
    assert list(Settings.load(config).views_of("pets")) == ["64x64-rgb-squash"]


def test_view_names_tell_every_setting() -> None:
    assert View(size=(32, 48), color="gray", resize="pad").name == "32x48-gray-pad"
    assert View(size=32, filter="linear").name == "32x32-rgb-squash-linear"


def test_folds_and_lists_of_one_data_set() -> None:
    config = with_value("datasets.pets.split", {"folds": 3})
    config["datasets"]["pets"]["classifiers"] = []
    settings = Settings.load(config)
    assert settings.folds_of("pets") == ["fold-1", "fold-2", "fold-3"]
    assert settings.classifiers_of("pets") == []


def test_a_hash_beside_its_address_goes_with_it() -> None:
    one, two = "a" * 64, "b" * 64
    config = with_value("datasets.pets.source", f"https://host/pets.zip#sha256={one}")
    pets = Settings.load(config).datasets["pets"]
    assert (pets.source, pets.sha256) == ("https://host/pets.zip", one)
    config["datasets"]["pets"]["sha256"] = two
    assert "sha256 is given twice" in mistake(config)


def test_a_hash_for_each_of_several_files() -> None:
    one, two = "a" * 64, "B" * 64
    config = with_value("datasets.pets.source", "https://host/{a,b}.gz")
    config["datasets"]["pets"]["sha256"] = [one, two]
    assert Settings.load(config).stage("download_source", {"dataset": "pets"})["sha256"] == [
        one,
        two,
    ]
    beside = with_value("datasets.pets.source", f"https://host/{{a,b}}.gz#sha256={one},{two}")
    assert Settings.load(beside).datasets == Settings.load(config).datasets
    for wrong in (one, [one], [one, two, two]):
        config["datasets"]["pets"]["sha256"] = wrong
        assert "the source names 2 files: give a list of one for each" in mistake(config)
    config["datasets"]["pets"]["sha256"] = [one, "b"]
    assert "datasets.pets.sha256: 'b': a sha256 has 64 hexadecimal digits, not 1" in mistake(config)
    config["datasets"]["pets"] |= {"source": "https://host/a.gz", "sha256": "b"}
    assert "datasets.pets.sha256 is 'b': a sha256 has 64" in mistake(config)


# ---------------------------------------------------------------- comparisons


def compared(model: dict[str, Any]) -> Settings:
    config = with_value("models.cnn", {"layers": ["flatten"], "batch": 10} | model)
    return Settings.load(config)


def trained(settings: Settings, model: str) -> dict[str, Any]:
    wildcards = {"dataset": "pets", "fold": "holdout", "model": model, "seed": "0"}
    spec: dict[str, Any] = settings.stage("train_model", wildcards)["model"]
    return spec


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


def test_the_commented_comparisons_of_config_yaml_are_real() -> None:
    text = Path("config.yaml").read_text()
    comment = text.split("# Side by side: ")[1].split("\n\n")[0]
    lines = [line.removeprefix("  #   ") for line in comment.splitlines() if "  #   " in line]
    shown = yaml.safe_load("\n".join(lines))
    cnn = yaml.safe_load(text)["models"]["cnn"]
    config = with_value("models.cnn", cnn | {"optimizer": shown["optimizer"]})
    assert Settings.load(config).models_of("pets") == ["cnn-sgd", "cnn-momentum", "cnn-adam"]
    config = with_value("models.cnn", cnn | {"compare": shown["compare"]})
    assert Settings.load(config).models_of("pets") == ["cnn-wide", "cnn-plain"]


def test_the_report_is_told_what_the_compared_differ_in() -> None:
    members = {"a": {"batch": 3}, "b": {"optimizer": "sgd"}, "c": {"layers": [{"dense": 2}]}}
    told = Settings.load(with_value("models.cnn.compare", members)).stage(
        "write_report", {"dataset": "pets"}
    )
    differ = told["compared"]["cnn"]
    assert list(differ) == ["cnn-a", "cnn-b", "cnn-c"]
    assert set(differ["cnn-a"]) == {"batch", "optimizer.name", "layers"}
    assert (differ["cnn-a"]["batch"], differ["cnn-b"]["batch"]) == (3, 64)
    assert differ["cnn-b"]["optimizer.name"] == "sgd"
    one = with_value("models.cnn.compare", members)
    one["run"]["models"] = ["cnn-a"]
    assert Settings.load(one).stage("write_report", {"dataset": "pets"})["compared"] == {}


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


# ---------------------------------------------------------------- tuning, backbones


def tuned(space: dict[str, Any], **model: Any) -> dict[str, Any]:
    layers = [{"conv": 8}, "flatten", {"dropout": 0.3}, {"dense": 9, "name": "hidden"}]
    return with_value("models.cnn", {"layers": layers, "tune": {"space": space}} | model)


def test_a_space_names_settings_by_their_paths() -> None:
    space = {
        "optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "layers.2.dropout.rate": [0.2, 0.5],
        "layers.hidden.dense.units": {"low": 8, "high": 64, "step": 8},
        "batch": [16, 32],
        "augment.flip": ["none", "horizontal"],
    }
    settings = Settings.load(tuned(space))
    wildcards = {"dataset": "pets", "fold": "holdout", "model": "cnn"}
    told = settings.stage("try_model", wildcards)["tune"]
    assert list(told["space"]) == list(space)
    assert told["space"]["layers.hidden.dense.units"]["step"] == 8
    assert told["objective"] == "loss" and "parallel" not in told
    assert "tune" not in settings.stage("try_model", wildcards)["model"]


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"optimizer.learningrate": [1, 2]}, "no setting 'learningrate'; did you mean 'learning_rate'?"),
        ({"optimiser.learning_rate": [1, 2]}, "no setting 'optimiser'; did you mean 'optimizer'?"),
        ({"optimizer.learning_rate": [0.1, -1]}, "tune.space: optimizer.learning_rate with -1: Input should be greater than 0"),
        ({"optimizer.momentum": {"low": 0.5, "high": 1.0}}, "optimizer.momentum with 1.0: Input should be less than 1"),
        ({"optimizer.name": ["adam", "adm"]}, "optimizer.name with 'adm'"),
        ({"layers.2.dropout.rate": [0.2, 1.5]}, "layers.2.dropout.rate with 1.5"),
        ({"layers.9.dropout.rate": [0.2, 0.5]}, "layers.9.dropout.rate: no item '9' in a list of 4"),
        ({"layers.last.dense.units": [2, 5]}, "layers.last.dense.units: no item 'last'"),
        ({"layers.1.dropout.rate": [0.2, 0.5]}, "layers.1.dropout.rate"),
        ({"batch": [32]}, "batch: give at least two values, or low and high"),
        ({"batch": {"low": 32, "high": 8}}, "low (32) must be less than high (8)"),
        ({"batch": {"low": 0, "high": 8, "log": True}}, "log needs low above 0"),
        ({"batch": {"low": 1, "high": 8, "log": True, "step": 2}}, "log and step exclude each other"),
        ({}, "at least 1 item"),
        ({"tune.trials": [1, 2]}, "no setting 'tune'"),
    ],
)  # fmt: skip
def test_a_space_that_cannot_be_tried_is_told(space: dict[str, Any], said: str) -> None:
    assert said in mistake(tuned(space))


def test_a_classifiers_space_reaches_its_own_settings() -> None:
    config = with_value("classifiers.svm.tune", {"space": {"settings.C": {"low": 1, "high": 9}}})
    wildcards = {
        "dataset": "pets", "fold": "holdout", "features": "cnn-seed0", "classifier": "svm",
    }  # fmt: skip
    told = Settings.load(config).stage("try_classifier", wildcards)
    assert told["tune"]["space"]["settings.C"]["high"] == 9
    assert "tune" not in told["classifier"]
    config["classifiers"]["svm"]["tune"]["space"] = {"pca": [0.5, 2.5]}
    assert "pca with 2.5: a fraction must lie between 0 and 1" in mistake(config)


BACKBONE = {"kind": "backbone", "application": "MobileNet"}


@pytest.mark.parametrize(
    ("features", "model", "said"),
    [
        ({"kind": "backbone"}, {}, "features.net: application: a name in keras.applications is needed"),
        ({"kind": "hog", "pool": "max"}, {}, "features.net: pool goes with kind: backbone, not hog"),
        ({"kind": "pixels", "application": "VGG16"}, {}, "application goes with kind: backbone, not pixels"),
        (BACKBONE | {"view": {"color": "gray"}}, {}, "features.net: view.color: a backbone reads rgb"),
        (BACKBONE | {"sha256": "12"}, {}, "features.net.sha256 is '12'"),
        (BACKBONE, {"backbone": "nte"}, "models.cnn.backbone: 'nte' is no feature set of kind backbone; did you mean 'net'?"),
        ({"kind": "hog"}, {"backbone": "net"}, "models.cnn.backbone: 'net' is no feature set of kind backbone"),
        (BACKBONE, {"backbone": "net", "view": {"size": 9}}, "view: it is that of the feature set 'net'; set it there"),
        (BACKBONE, {"backbone": "net", "normalise": "unit"}, "normalise: a backbone brings its own; leave it out"),
        (BACKBONE, {"fine_tune": {"blocks": 2}}, "fine_tune needs `backbone`, what is to be tuned"),
        (BACKBONE, {"backbone": "net", "fine_tune": {}}, "give either blocks or start"),
        (BACKBONE, {"backbone": "net", "fine_tune": {"blocks": 1, "start": "a"}}, "give either blocks or start"),
        (BACKBONE, {"backbone": "net", "fine_tune": {"blocks": 0}}, "models.cnn.fine_tune.blocks is 0"),
    ],
)  # fmt: skip
def test_a_backbone_and_what_stands_on_it_are_checked(
    features: dict[str, Any], model: dict[str, Any], said: str
) -> None:
    config = with_value("features.net", features)
    config["models"]["cnn"] |= model
    assert said in mistake(config)


def test_a_head_needs_no_layers_and_reads_the_backbones_view() -> None:
    config = with_value("features.net", BACKBONE | {"view": {"size": 96}})
    config["models"]["head_alone"] = {"backbone": "net", "fine_tune": {"blocks": 1}}
    config["run"]["models"] = ["head_alone"]
    settings = Settings.load(config)
    assert settings.view_of("pets", "head_alone").shape == (96, 96, 3)
    assert settings.backbone_of("head_alone") == "net"
    assert trained(settings, "head_alone")["fine_tune"]["learning_rate"] == 1e-5


def test_classifiers_are_fitted_once_on_what_a_frozen_backbone_makes() -> None:
    head = {"backbone": "net", "layers": [{"dropout": 0.3}], "seeds": [0, 1]}
    config = with_value("features.net", BACKBONE)
    config["models"] |= {
        "plain": head,
        "hidden": head | {"layers": [{"dense": 4}], "seeds": [0]},
        "tuned": head | {"fine_tune": {"blocks": 1}, "seeds": [0]},
    }
    config["run"] |= {"models": ["plain", "hidden", "tuned"], "features": ["net"]}
    config["run"]["classifiers"] = ["svm"]
    settings = Settings.load(config)
    fits = [("net", "svm"), ("hidden-seed0", "svm"), ("tuned-seed0", "svm")]
    assert settings.fits_of("pets") == fits
    heads = ["plain-seed0", "plain-seed1", "hidden-seed0", "tuned-seed0"]
    names = ["net/svm", "hidden-seed0/svm", "tuned-seed0/svm"]
    assert list(settings.predictors_of("pets")) == heads + names
    config["run"]["features"] = []  # the backbone's features are made for the head anyway
    assert Settings.load(config).fits_of("pets") == fits
    assert "net" in settings.stage("write_report", {"dataset": "pets"})["settings"]["features"]


def test_a_backbone_s_stages_read_what_they_need() -> None:
    config = with_value("features.net", BACKBONE | {"settings": {"alpha": 0.25}, "batch": 8})
    config["models"]["head_alone"] = {"backbone": "net"}
    config["run"]["models"] = ["cnn", "head_alone"]
    settings = Settings.load(config)
    assert settings.backbones_of("pets") == ["net"]
    assert settings.stage("download_weights", {"features": "net"}) == {
        "features": "net", "application": "MobileNet", "settings": {"alpha": 0.25},
        "weights": "imagenet", "sha256": None, "shape": [224, 224, 3],
    }  # fmt: skip
    assert settings.stage("embed_images", {"features": "net"}) == {
        "name": "net", "application": "MobileNet", "settings": {"alpha": 0.25},
        "pool": "average", "batch": 8, "backend": "tensorflow",
    }  # fmt: skip
    w = {"dataset": "pets", "fold": "holdout", "model": "head_alone", "seed": "0"}
    trained = settings.stage("train_model", w)
    assert trained["backbone"]["application"] == "MobileNet"
    assert "normalise" not in trained["model"] and "weights" not in trained["backbone"]
    assert list(settings.stage("write_report", w)["settings"]["features"]) == ["net"]


def test_whether_augmentation_changes_anything() -> None:
    def changes(**augment: Any) -> bool:
        config = with_value("models.cnn.augment", augment)
        return Settings.load(config).models["cnn"].augment.changes

    assert not changes() and not changes(flip_probability=0.1)
    assert changes(flip="horizontal") and changes(mixup=0.1)
