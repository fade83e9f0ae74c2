"""What the settings accept, and what a data set consists of."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.dataset import View
from darkroom.config.settings import Settings, source_name
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError
from tests.support.configs import BACKBONE, BASE, documented, mistake, trained, with_value


def test_the_shipped_configuration_is_valid() -> None:
    config = yaml.safe_load(Path("config.yaml").read_text())
    settings = Settings.load(config)
    assert settings.run.datasets == ["digits"]


def test_every_documented_setting_of_a_data_set_is_real() -> None:
    photos = documented("datasets", "photos")
    settings = Settings.load(with_value("datasets.photos", photos))
    assert settings.datasets["photos"].model_dump(exclude={"source"}) == {
        k: v for k, v in Settings.load(BASE).datasets["pets"].model_dump().items() if k != "source"
    }, "it should show the defaults"


def test_the_documented_backbone_is_real() -> None:
    config = with_value("features.mobilenet", documented("features", "mobilenet"))
    config["models"]["tuned"] = documented("models", "mobilenet_head")
    shown = Settings.load(config)
    config["features"]["mobilenet"] = {
        k: config["features"]["mobilenet"][k] for k in ("kind", "application", "settings", "view")
    }
    config["models"]["tuned"]["fine_tune"] = {"blocks": 2}
    assert shown == Settings.load(config), "it should show the defaults"


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
    layers = stage_settings(
        settings, "train_model", {"dataset": "pets", "fold": "holdout", "model": "cnn", "seed": "1"}
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
    variants = stage_settings(settings, "augment_images", {"dataset": "pets"})["variants"]
    assert variants[1] == {"power_law": {"gamma": 0.4, "scale": 1.0}}
    assert variants[2] == {"canny": {"low": 50, "high": 225}}
    assert variants[3]["rotate"]["copies"] == 2


def test_data_is_a_short_form_of_a_data_set() -> None:
    settings = Settings.load({**BASE, "data": "/a/My photos.zip"})
    assert settings.run.datasets == ["My_photos"]
    assert settings.datasets["My_photos"].source == "/a/My photos.zip"
    assert settings.runs_of("My_photos") == ["cnn-seed0"]


def test_data_that_is_called_like_an_entry_has_settings_of_its_own() -> None:
    config = with_value("datasets.pets.view", {"size": 12, "color": "gray"})
    settings = Settings.load({**config, "data": "/mine/pets"})
    assert settings.run.datasets == ["data_pets"]
    assert settings.datasets["data_pets"].view == View()
    assert settings.datasets["data_pets"].source == "/mine/pets"
    config["datasets"]["pets"]["source"] = "/mine/pets"
    same = Settings.load({**config, "data": "/mine/pets"})
    assert same.run.datasets == ["pets"] and same.datasets["pets"].view.color == "gray"


def test_names_that_look_like_numbers() -> None:
    assert Settings.load({**BASE, "data": 2024}).run.datasets == ["2024"]
    config = {**BASE, "datasets": {2024: {"source": "x", "classes": [1, "b"]}}}
    config["datasets"][2024]["split"] = {"quotas": {1: {"train": 5}}}
    config["datasets"][2024]["layout"] = {"label_column": 2}
    config["run"] = {**BASE["run"], "datasets": [2024]}
    found = Settings.load(config).datasets["2024"]
    assert found.classes == {"1": ["1"], "b": ["b"]} and list(found.split.quotas) == ["1"]
    assert found.layout.label_column == "2"


def test_class_names_are_in_the_unicode_form_of_labels() -> None:
    apart = unicodedata.normalize("NFD", "K\u00e4fer")
    config = with_value("datasets.pets.classes", [apart, "b"])
    config["datasets"]["pets"]["split"] = {"quotas": {apart: {"train": 5}}}
    found = Settings.load(config).datasets["pets"]
    assert found.classes == {"K\u00e4fer": ["K\u00e4fer"], "b": ["b"]}
    assert list(found.split.quotas) == ["K\u00e4fer"]


@pytest.mark.parametrize(
    ("source", "name"),
    [("/x/cats dogs/", "cats_dogs"), ("kaggle:owner/Chest-X@3", "Chest-X"),
     ("https://h/a/imagenette2.tgz?dl=1", "imagenette2"), ("x.tar.zst", "x"),
     ("bundled:digits", "digits"), ("/data/images", "data_images"),
     ("/a/" + 250 * "b", 100 * "b")],
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
        stage_settings(settings, "prepare_images", {"dataset": "pets", "view": "64x64-rgb-squash"})
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
    assert stage_settings(Settings.load(config), "download_source", {"dataset": "pets"})[
        "sha256"
    ] == [
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
        (BACKBONE, {"fine_tune": {"blocks": 2}}, "fine_tune needs a `backbone` to tune"),
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
    assert (
        "net"
        in stage_settings(settings, "write_report", {"dataset": "pets"})["settings"]["features"]
    )


def test_whether_augmentation_changes_anything() -> None:
    def changes(**augment: Any) -> bool:
        config = with_value("models.cnn.augment", augment)
        return Settings.load(config).models["cnn"].augment.changes

    assert not changes() and not changes(flip_probability=0.1)
    assert changes(flip="horizontal") and changes(mixup=0.1)


def test_free_settings_from_the_command_line_are_numbers_again() -> None:
    """Of a mapping in --config, Snakemake gives text alone."""
    given = {"C": "0.5", "gamma": "scale", "probability": "false", "tol": "1e-3", "max_iter": "7"}
    tune = {"space": {"settings.C": ["1", "10.0"]}}
    own = {"kind": "svm", "settings": given, "tune": tune}
    svm = Settings.load(with_value("classifiers.svm", own)).classifiers["svm"]
    assert svm.settings == {
        "C": 0.5, "gamma": "scale", "probability": False, "tol": 0.001, "max_iter": 7,
    }  # fmt: skip
    assert svm.tune is not None and svm.tune.space == {"settings.C": [1, 10.0]}


def test_an_empty_source_is_not_none_at_all() -> None:
    assert "data: it is empty: name a folder" in mistake(with_value("data", ""))
