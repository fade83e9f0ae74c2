"""Settings: what is accepted, and the words for what is not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config import Settings, View, source_name
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
        "train", {"dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "1"}
    )["model"]["layers"]
    assert layers[0]["conv"]["filters"] == 50 and layers[0]["conv"]["size"] == 3
    assert layers[1] == {
        "conv": {"filters": 2, "size": 5, "stride": 1, "padding": "same", "activation": "relu",
                 "bias": True},
        "name": "second",
    }  # fmt: skip
    assert layers[2]["pool"]["size"] == 3
    assert layers[4] == {"flatten": {}}
    assert layers[7]["residual"] == {"filters": 64, "stride": 2, "activation": "relu"}
    variants = settings.stage("augment", {"dataset": "pets"})["variants"]
    assert variants[1] == {"power_law": {"gamma": 0.4, "scale": 1.0}}
    assert variants[2] == {"canny": {"low": 50, "high": 225}}
    assert variants[3]["rotate"]["copies"] == 2


def test_a_stage_reads_its_own_settings_and_no_other() -> None:
    """What a stage does not read must not rerun it."""
    wildcards = {
        "dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "0",
        "features": "cnn-seed0", "classifier": "svm", "view": "64x64-rgb-squash",
    }  # fmt: skip
    stages = ["download", "index", "check", "split", "prepare", "augment", "train", "features",
              "classify", "evaluate"]  # fmt: skip
    before = {s: Settings.load(BASE).stage(s, wildcards) for s in stages}
    for path, value, expected in [
        ("models.cnn.epochs", 3, {"train"}),
        ("models.cnn.seeds", [0, 1], set()),
        ("models.cnn.batch", 3, {"train", "features"}),
        ("datasets.pets.split", {"test": 0.3}, {"split"}),
        ("datasets.pets.split", {"given": "ignore"}, {"split", "augment"}),
        ("datasets.pets.classes", {"x": "a", "y": "b"}, {"split"}),
        ("datasets.pets.max_unusable", 0.5, {"check"}),
        ("datasets.pets.decode", {"alpha": "black"}, {"index", "prepare"}),
        ("datasets.pets.layout", {"kind": "folders"}, {"index"}),
        ("datasets.pets.augment", {"variants": ["flip"]}, {"augment"}),
        ("datasets.pets.augment", {"balance": 5}, {"train", "features", "classify"}),
        ("datasets.pets.license", "CC0", set()),
        ("datasets.pets.sha256", "0" * 64, {"download"}),
        ("classifiers.svm.settings", {"C": 3}, {"classify"}),
        ("evaluate.bootstrap", 10, {"evaluate"}),
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
    assert repr(Settings.load(a).stage("train", w)) != repr(Settings.load(b).stage("train", w))


def test_the_order_of_classes_is_a_change() -> None:
    a = Settings.load(with_value("datasets.pets.classes", ["a", "b"]))
    b = Settings.load(with_value("datasets.pets.classes", ["b", "a"]))
    w = {"dataset": "pets"}
    assert repr(a.stage("split", w)) != repr(b.stage("split", w))


def test_augmented_classes_are_told_as_source_labels() -> None:
    config = with_value("datasets.pets.classes", {"covid": ["COVID19", "COVID"], "normal": "N"})
    config["datasets"]["pets"]["augment"] = {"variants": ["flip"], "classes": ["covid"]}
    cfg = Settings.load(config).stage("augment", {"dataset": "pets"})
    assert cfg["labels"] == ["COVID", "COVID19"]


def test_a_target_of_no_data_set_is_told() -> None:
    with pytest.raises(UserError, match=r"'pest' is not in datasets.*did you mean 'pets'"):
        Settings.load(BASE).stage("split", {"dataset": "pest"})


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
