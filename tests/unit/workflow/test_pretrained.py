"""Whether weights can be had is known before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.config.recipe import HOST, MOBILENET, Chosen
from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.sources import mirror
from darkroom.workflow import pretrained

ADDRESS = "https://host/vgg.h5"


def settings(given: dict[str, Any], **more: Any) -> Settings:
    return Settings.load(
        {
            "run": {
                "datasets": ["pets"],
                "models": [],
                "features": ["net"],
                "classifiers": ["svm"],
            },
            "datasets": {"pets": {"source": "bundled:digits"}},
            "features": {"net": {"kind": "backbone", **given}},
            "classifiers": {"svm": {"kind": "svm"}},
        },
        **more,
    )


RECIPE = settings(MOBILENET.features())
OTHER = settings({"application": "VGG16"})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "answer", lambda address: None)


def refused(made: Settings, folder: Path) -> str:
    with pytest.raises(UserError) as error:
        pretrained.check(made, folder)
    return str(error.value)


@pytest.mark.usefixtures("offline")
def test_no_network_is_one_sentence_for_every_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(RECIPE, tmp_path)
    for part in (MOBILENET.file, MOBILENET.address, MOBILENET.digest, "as mirror"):
        assert part in told
    assert "recipe=scratch" not in told
    answer = json.dumps([ADDRESS, "vgg.h5", "0" * 32])
    monkeypatch.setattr(pretrained, "said", lambda *_, **__: f"a line before\n{answer}\n")
    told = refused(OTHER, tmp_path)
    assert (
        f"features.net: its weights are not here, and {ADDRESS} does" in told and "(md5 000" in told
    )
    told = refused(settings({"application": "VGG16", "weights": f"{ADDRESS}?token=x"}), tmp_path)
    assert "as vgg.h5 into a folder" in told and "token" not in told
    monkeypatch.setattr(pretrained, "said", lambda *_, **__: None)
    pretrained.check(OTHER, tmp_path)  # no Keras here: the job says so


@pytest.mark.usefixtures("offline")
def test_a_recipe_has_a_way_on_without_them(tmp_path: Path) -> None:
    made = settings(MOBILENET.features(), chosen=Chosen("transfer", "quick", "", "net"))
    assert refused(made, tmp_path).endswith("without it: recipe=scratch")


@pytest.mark.usefixtures("offline")
def test_at_hand(tmp_path: Path) -> None:
    (tmp_path / MOBILENET.file).touch()
    pretrained.check(RECIPE.model_copy(update={"mirror": str(tmp_path)}), tmp_path)
    (tmp_path / "data/weights").mkdir(parents=True)
    (tmp_path / "data/weights/net.h5").touch()
    pretrained.check(RECIPE, tmp_path)
    pretrained.check(
        settings({"application": "VGG16", "weights": str(tmp_path / MOBILENET.file)}), Path()
    )


def test_where_the_network_is_reached_keras_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(mirror, "answer", lambda address: bool(asked.append(address)))
    monkeypatch.setattr(pretrained, "said", lambda *_, **__: pytest.fail("Keras is asked"))
    for made in (RECIPE, OTHER):
        pretrained.check(made, tmp_path)
    assert asked == [MOBILENET.address, HOST]
