"""What each stage reads of the settings."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, NotRequired, get_origin, get_type_hints, is_typeddict

import pytest

from darkroom.config import stages
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError
from darkroom.workflow.stages import STAGES
from tests.support.configs import BACKBONE, BASE, with_value


def test_a_stage_reads_its_own_settings_and_no_other() -> None:
    """What a stage does not read must not rerun it."""
    wildcards = {
        "dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "0",
        "features": "cnn-seed0", "classifier": "svm", "view": "64x64-rgb-squash",
    }  # fmt: skip
    stages = ["download_source", "index_files", "check_files", "split_rows", "prepare_images", "augment_images", "train_model", "extract_features",
              "fit_classifier", "evaluate_dataset"]  # fmt: skip
    before = {s: stage_settings(Settings.load(BASE), s, wildcards) for s in stages}
    for path, value, expected in [
        ("models.cnn.epochs", 3, {"train_model"}),
        ("models.cnn.seeds", [0, 1], set()),
        ("models.cnn.batch", 3, {"train_model", "extract_features"}),
        ("datasets.pets.split", {"test": 0.3}, {"split_rows"}),
        ("datasets.pets.split", {"given": "ignore"}, {"split_rows", "augment_images"}),
        ("datasets.pets.classes", {"x": "a", "y": "b"}, {"split_rows"}),
        ("datasets.pets.duplicates", "drop", {"split_rows"}),
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
        ("datasets.pets.notice", "No toys.", {"evaluate_dataset"}),
        ("datasets.pets.operating_point", {"sensitivity": 0.9}, {"evaluate_dataset"}),
        ("datasets.pets.robustness", True, set()),
        ("datasets.pets.sha256", "0" * 64, {"download_source"}),
        ("classifiers.svm.settings", {"C": 3}, {"fit_classifier"}),
        ("report.samples", 2, set()),
        ("threads", 2, set()),
    ]:
        settings = Settings.load(with_value(path, value))
        changed = {s for s in stages if stage_settings(settings, s, wildcards) != before[s]}
        assert changed == expected, path


def test_swapped_numbers_are_a_change() -> None:
    """Snakemake compares parameter values as a set; within one mapping the text tells."""
    w = {"dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "0"}
    a = with_value("models.cnn.epochs", 10)
    a["models"]["cnn"]["batch"] = 20
    b = with_value("models.cnn.epochs", 20)
    b["models"]["cnn"]["batch"] = 10
    assert repr(stage_settings(Settings.load(a), "train_model", w)) != repr(
        stage_settings(Settings.load(b), "train_model", w)
    )


def test_the_order_of_classes_is_a_change() -> None:
    a = Settings.load(with_value("datasets.pets.classes", ["a", "b"]))
    b = Settings.load(with_value("datasets.pets.classes", ["b", "a"]))
    w = {"dataset": "pets"}
    assert repr(stage_settings(a, "split_rows", w)) != repr(stage_settings(b, "split_rows", w))


def test_augmented_classes_are_told_as_source_labels() -> None:
    config = with_value("datasets.pets.classes", {"covid": ["COVID19", "COVID"], "normal": "N"})
    config["datasets"]["pets"]["augment"] = {"variants": ["flip"], "classes": ["covid"]}
    cfg = stage_settings(Settings.load(config), "augment_images", {"dataset": "pets"})
    assert cfg["labels"] == ["COVID", "COVID19"]


def test_a_target_of_no_data_set_is_told() -> None:
    with pytest.raises(UserError, match=r"'pest' is not in datasets.*did you mean 'pets'"):
        stage_settings(Settings.load(BASE), "split_rows", {"dataset": "pest"})


def test_a_backbone_s_stages_read_what_they_need() -> None:
    config = with_value("features.net", BACKBONE | {"settings": {"alpha": 0.25}, "batch": 8})
    config["models"]["head_alone"] = {"backbone": "net"}
    config["run"]["models"] = ["cnn", "head_alone"]
    settings = Settings.load(config)
    assert settings.backbones_of("pets") == ["net"]
    assert stage_settings(settings, "download_weights", {"features": "net"}) == {
        "features": "net", "application": "MobileNet", "settings": {"alpha": 0.25},
        "weights": "imagenet", "sha256": None, "shape": [224, 224, 3],
            "pool": "average",
    }  # fmt: skip
    assert stage_settings(settings, "embed_images", {"features": "net"}) == {
        "name": "net", "application": "MobileNet", "settings": {"alpha": 0.25},
        "pool": "average", "batch": 8, "backend": "tensorflow",
    }  # fmt: skip
    w = {"dataset": "pets", "fold": "holdout", "model": "head_alone", "seed": "0"}
    trained = stage_settings(settings, "train_model", w)
    assert trained["backbone"]["application"] == "MobileNet"
    assert "normalise" not in trained["model"] and "weights" not in trained["backbone"]
    assert list(stage_settings(settings, "write_report", w)["settings"]["features"]) == ["net"]


def return_type(rule: str) -> Any:
    """The type that the function of a rule gives; its module imports it for mypy alone."""
    types: dict[str, Any] = {}
    for node in ast.parse(Path(stages.__file__).read_text()).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), "imports", "exec"), types)
    assert types, "the types are imported in another way: read that one"
    return get_type_hints(getattr(stages, rule), globalns=vars(stages) | types)["return"]


def check_keys(kind: Any, value: Any) -> None:
    """Compare a mapping, and those in it, with the keys of their TypedDict."""
    if not is_typeddict(kind):
        return
    hints = get_type_hints(kind, include_extras=True)
    required = {key for key, hint in hints.items() if get_origin(hint) is not NotRequired}
    assert required <= set(value) <= set(hints), kind
    for key, inner in get_type_hints(kind).items():
        if key in value:
            check_keys(inner, value[key])


@pytest.mark.parametrize("rule", STAGES)
def test_a_stage_reads_exactly_the_keys_of_its_type(rule: str) -> None:
    space = {"space": {"settings.C": [1, 10]}}
    config = with_value("classifiers.svm.tune", space)
    config["models"]["cnn"]["tune"] = {"space": {"batch": [8, 16]}}
    config["features"] = {"net": BACKBONE, "hog": {"kind": "hog"}}
    config["datasets"]["pets"]["shards"] = 2
    config["predict"] = {"new": "folder"}
    wildcards = {
        "dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "0", "shard": "1",
        "features": "hog" if rule == "describe_images" else "net", "classifier": "svm",
        "view": "64x64-rgb-squash", "name": "new",
    }  # fmt: skip
    check_keys(return_type(rule), stage_settings(Settings.load(config), rule, wildcards))
