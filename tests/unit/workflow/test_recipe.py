"""What `data` by itself runs, and that it is kept."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from darkroom import ROOT
from darkroom.config.recipe import (
    EFFICIENTNET,
    MOBILENET,
    NETWORKS,
    Chosen,
    in_place_of_defaults,
)
from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.machine import hardware
from darkroom.sources import mirror
from darkroom.workflow import recipe
from darkroom.workflow.needs import CORE
from darkroom.workflow.sample import Sample, sample, spread

DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())


def pictures(
    folder: Path,
    width: int,
    height: int,
    *,
    color: bool = True,
    each: int = 3,
    name: str = "{}.png",
) -> str:
    for kind in ("cats", "dogs"):
        (folder / kind).mkdir(parents=True)
        for i in range(each):
            pixels = np.full(
                (height, width, 3) if color else (height, width), 9 * i % 256, np.uint8
            )
            cv2.imwrite(str(folder / kind / name.format(i)), pixels)
    return str(folder)


def settled(folder: Path, **given: Any) -> Settings:
    """The settings of a run with `--config` of these values."""
    config = in_place_of_defaults(given, {}, DEFAULTS)
    chosen = recipe.choose(config, DEFAULTS, folder)
    return Settings.load(recipe.applied(config, DEFAULTS, chosen), chosen=chosen)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    return pictures(tmp_path / "photos", 50, 40)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "answer", lambda address: True)


class TestChoice:
    def test_photographs_are_transferred(self, tmp_path: Path, photos: str) -> None:
        settings = settled(tmp_path, data=photos, gpus=0)
        assert settings.models_of("photos") == []
        assert settings.fits_of("photos") == [
            ("mobilenet", "svm"), ("mobilenet", "logistic_regression"),
        ]  # fmt: skip
        assert settings.classifiers["svm"].max_rows == 20_000
        assert settings.classifiers["svm"].refit and settings.classifiers["svm"].settings == {
            "C": 10
        }
        view = settings.view_of("photos", "mobilenet")
        assert (view.size, view.color, view.resize) == (224, "rgb", "pad")
        assert settings.features["mobilenet"].sha256 == MOBILENET.digest
        assert settings.chosen is not None and "50×40 pixels" in settings.chosen.why

    def test_tiny_images_are_learned_from_scratch_at_their_size(self, tmp_path: Path) -> None:
        source = pictures(tmp_path / "tiny", 28, 20, color=False)
        settings = settled(tmp_path, data=source)
        assert settings.runs_of("tiny") == ["cnn-seed0"]
        view = settings.view_of("tiny", "cnn")
        assert (view.size, view.color) == (28, "gray")
        assert not settings.backbones_of("tiny")

    def test_a_named_recipe(self, tmp_path: Path, photos: str) -> None:
        assert settled(tmp_path, data=photos, recipe="scratch").runs_of("photos") == ["cnn-seed0"]
        both = settled(tmp_path, data=photos, recipe="both", gpus=0)
        assert {f for f, _ in both.fits_of("photos")} == {"cnn-seed0", "mobilenet"}
        assert both.view_of("photos", "cnn").size == 64

    def test_budgets(self, tmp_path: Path, photos: str) -> None:
        def networks(**given: Any) -> list[str]:
            return settled(tmp_path, data=photos, **given).backbones_of("photos")

        assert networks(gpus=1) == networks(gpus=0, budget="good") == ["efficientnet"]
        assert networks(gpus=1, budget="good") == ["efficientnet_v2"]
        best = settled(tmp_path, data=photos, gpus=0, budget="best")
        assert best.models_of("photos") == ["fine_tuned"] and len(best.runs_of("photos")) == 3
        three = settled(tmp_path, data=photos, recipe="scratch", budget="good")
        assert len(three.runs_of("photos")) == 3

    @pytest.mark.usefixtures("online")
    def test_minutes_are_the_largest_budget_within_them(self, tmp_path: Path, photos: str) -> None:
        def chosen(minutes: float) -> Chosen:
            found = settled(tmp_path, data=photos, gpus=0, budget=minutes).chosen
            assert found is not None
            return found

        assert [chosen(minutes).budget for minutes in (0.1, 600)] == ["quick", "best"]
        assert "; budget best: about " in chosen(600).why and " of 600 minutes" in chosen(600).why
        with pytest.raises(UserError, match="budget"):
            settled(tmp_path, data=photos, budget=-1)

    def test_minutes_have_no_network_whose_weights_cannot_be_had(
        self, tmp_path: Path, photos: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        monkeypatch.setattr(mirror, "answer", asked.append)
        (tmp_path / MOBILENET.file).touch()
        here = {"data": photos, "gpus": 0, "mirror": str(tmp_path)}
        found = settled(tmp_path, **here, budget=600)
        assert found.chosen is not None and found.chosen.budget == "quick"
        assert f"{EFFICIENTNET.file}, the weights of efficientnet for a larger" in found.chosen.why
        assert asked == [EFFICIENTNET.address]  # once: a server that does not answer takes a while
        (tmp_path / EFFICIENTNET.file).touch()
        found = settled(tmp_path, **here, budget=600)
        assert found.chosen is not None and found.chosen.budget == "best"
        assert "cannot be had" not in found.chosen.why

    @pytest.mark.usefixtures("online")
    def test_a_slower_processor_gets_less_into_its_minutes(
        self, tmp_path: Path, photos: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def minutes(speed: float) -> float:
            monkeypatch.setattr(hardware, "multiplications", lambda: speed)
            found = settled(tmp_path, data=photos, gpus=0, budget=600).chosen
            assert found is not None
            return float(found.why.split("about ")[2].split(" of")[0])

        assert minutes(CORE / 100) > 20 * minutes(CORE)
        assert minutes(2 * CORE) == minutes(CORE)

    @pytest.mark.usefixtures("online")
    def test_more_images_take_more_of_the_minutes(self, tmp_path: Path) -> None:
        """The same minutes are enough for less with a set of unknown, that is 20,000, images."""
        found = settled(tmp_path, data="https://host/flowers.zip", gpus=0, budget=20).chosen
        assert found is not None and found.budget in ("quick", "good")

    def test_few_photographs_are_tested_in_folds(self, tmp_path: Path) -> None:
        def folds(name: str, each: int = 20, **given: Any) -> list[str]:
            if not (tmp_path / name).exists():
                pictures(tmp_path / name, 40, 40, each=each, **given)
                given = {}
            found = settled(tmp_path, data=str(tmp_path / name), gpus=0, **given)
            assert found.chosen is not None and ("only 40" in found.chosen.why) == (each == 20)
            return found.folds_of(name)

        five = [f"fold-{i}" for i in range(1, 6)]
        assert folds("few") == folds("few", budget="good") == five
        assert folds("too_few", 4) == folds("enough", 100) == ["holdout"]

    def test_folds_of_few_photographs_keep_what_belongs_together(self, tmp_path: Path) -> None:
        def folds(source: str, **given: Any) -> list[str]:
            name = Path(source).name
            return settled(tmp_path, data=source, gpus=0, **given).folds_of(name)

        patients = pictures(tmp_path / "two", 40, 40, each=20, name="p{0}_a.png")
        grouped = {"datasets": {"two": {"group": r"p\d*(\d)_"}}}
        assert len(folds(patients, **grouped)) == 5
        assert folds(patients, datasets={"two": {"group": "(cats|dogs)"}}) == ["holdout"]
        assert folds(patients, datasets={"two": {"split": {"test": 0.3}}}) == ["holdout"]
        for part in ("train", "test"):
            pictures(tmp_path / "given" / part, 40, 40, each=20)
        assert folds(str(tmp_path / "given")) == ["holdout"]
        assert folds(str(tmp_path / "two"), recipe="scratch") == ["holdout"]

    def test_a_source_that_is_not_here(self, tmp_path: Path) -> None:
        settings = settled(tmp_path, data="https://host/flowers.zip", gpus=0)
        assert settings.backbones_of("flowers") == ["mobilenet"]
        assert settings.chosen is not None and "not here yet" in settings.chosen.why

    def test_without_data_nothing_changes(self, tmp_path: Path) -> None:
        settings = settled(tmp_path)
        assert settings == Settings.load(DEFAULTS) and settings.chosen is None
        assert len(settings.runs_of("digits")) == 3


class TestSettingsOfOnesOwn:
    """What a person writes stands; a recipe takes the place of defaults alone."""

    def test_they_stand(self, tmp_path: Path, photos: str) -> None:
        settings = settled(
            tmp_path, data=photos, gpus=0,
            classifiers={"svm": {"settings": {"C": 1}, "refit": False}},
            datasets={"photos": {"view": {"resize": "crop"}, "split": {"folds": 5}}},
        )  # fmt: skip
        assert settings.classifiers["svm"].settings == {"C": 1}
        assert not settings.classifiers["svm"].refit
        assert settings.view_of("photos", "mobilenet").resize == "crop"
        assert len(settings.folds_of("photos")) == 5

    def test_lists_and_networks_of_ones_own_run(self, tmp_path: Path, photos: str) -> None:
        own = settled(tmp_path, data=photos, run={"features": ["hog"]})
        assert own.models_of("photos") == ["cnn"] and own.features_of("photos") == ["hog"]
        own = settled(tmp_path, data=photos, models={"cnn": {"epochs": 2}})
        assert own.runs_of("photos") == ["cnn-seed0", "cnn-seed1", "cnn-seed2"]
        with pytest.raises(UserError, match=r"run\.models names it"):
            settled(tmp_path, data=photos, recipe="transfer", run={"models": []})

    def test_a_recipe_without_data_is_a_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="there is no data"):
            settled(tmp_path, recipe="scratch")
        with pytest.raises(UserError, match="recipe"):
            settled(tmp_path, data="photos", recipe="transfr")


class TestBackbones:
    def test_a_network_on_a_backbone_has_no_layers_of_the_default(self, tmp_path: Path) -> None:
        given = {"run": {"models": ["cnn"]}, "features": {"small": MOBILENET.features()}}
        settings = settled(tmp_path, **given, models={"cnn": {"backbone": "small"}})
        assert settings.models["cnn"].layers == []
        own = {"cnn": {"backbone": "small", "layers": [{"dense": 9}]}}
        assert len(settled(tmp_path, **given, models=own).models["cnn"].layers) == 1

    def test_heads_on_one_frozen_backbone_share_its_features(self, tmp_path: Path) -> None:
        settings = settled(
            tmp_path, run={"models": ["top"]}, features={"small": MOBILENET.features()},
            models={"top": {"backbone": "small", "layers": [{"dropout": 0.3}],
                             "optimizer": ["sgd", "momentum", "adam"]}},
        )  # fmt: skip
        assert len(settings.runs_of("digits")) == 3
        assert settings.fits_of("digits") == [("small", "svm"), ("small", "random_forest")]


class TestItIsKept:
    def keep(self, folder: Path, **given: Any) -> None:
        chosen = settled(folder, **given).chosen
        assert chosen is not None
        recipe.keep(given, folder, chosen)

    def test_for_other_images_and_another_machine(self, tmp_path: Path, photos: str) -> None:
        self.keep(tmp_path, data=photos, gpus=0)
        for path in Path(photos).rglob("*.png"):
            cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
        assert settled(tmp_path, data=photos, gpus=1).backbones_of("photos") == ["mobilenet"]
        assert settled(tmp_path, data=photos, budget="good").runs_of("photos")  # now they are tiny
        assert settled(tmp_path, data=photos, recipe="scratch", gpus=1).models_of("photos") == [
            "cnn"
        ]

    def test_a_file_of_no_sense_is_chosen_anew(self, tmp_path: Path, photos: str) -> None:
        self.keep(tmp_path, data=photos, gpus=0)
        file = tmp_path / "results/photos/recipe.json"
        assert json.loads(file.read_text())["chosen"]["recipe"] == "transfer"
        file.write_text("{")
        assert settled(tmp_path, data=photos, gpus=1).backbones_of("photos") == ["efficientnet"]


def test_the_weights_of_each_network_are_those_that_keras_asks_for() -> None:
    from darkroom.train import backbones

    for network in NETWORKS:
        found = backbones.official(network.application, dict(network.settings), (224, 224, 3))
        assert (found.address, found.name) == (network.address, network.file)
        # Keras has no digest of MobileNet's file.
        assert found.digest == (None if network is MOBILENET else network.digest)


class TestSample:
    def test_a_folder_an_archive_and_array_files(self, tmp_path: Path) -> None:
        folder = Path(pictures(tmp_path / "a", 50, 40))
        (folder / "cats/broken.png").write_bytes(b"no image")
        assert sample(str(folder)) == Sample(6, 50, 40, False, 7)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for path in sorted(folder.rglob("*.png")):
                archive.write(path, path.relative_to(folder))
        assert sample(str(tmp_path / "a.zip")) == Sample(6, 50, 40, False, 7)
        arrays = tmp_path / "mnist"
        arrays.mkdir()
        for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
            (arrays / name).touch()
        assert sample(str(arrays)) == Sample(0, 28, 28, True)

    def test_a_tar_file(self, tmp_path: Path) -> None:
        import tarfile

        pictures(tmp_path / "a", 50, 40)
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "a", "a")
        assert sample(str(tmp_path / "a.tar.gz")) == Sample(6, 50, 40, False, 6)

    def test_nothing_to_look_at(self, tmp_path: Path) -> None:
        assert sample("https://host/a.zip") is None
        (tmp_path / "empty").mkdir()
        assert sample(str(tmp_path / "empty")) is None
        assert sample("bundled:digits") == Sample(0, 8, 8, True)

    def test_at_equal_distances(self) -> None:
        assert spread([str(i) for i in range(100)], 4) == ["0", "25", "50", "75"]
        assert spread(["a", "b"], 4) == ["a", "b"]
