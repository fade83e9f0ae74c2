"""Results in a notebook: `darkroom.open`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest

import darkroom
from darkroom.errors import UserError
from darkroom.models import beside
from darkroom.predict import picture
from darkroom.reading import Model
from tests.support.report_folder import Folder, Plan


def test_tables(tmp_path: Path) -> None:
    place = Path(Folder(tmp_path, Plan(seeds=(0,))).path("summary.parquet")).parent
    results = darkroom.open(place)
    assert len(results.summary) and len(results.metrics) and len(results.predictions)
    assert repr(results) == f"darkroom.open({str(place)!r})"
    with pytest.raises(UserError, match="there is no model 'svn'"):
        results.model("svn")


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results of a data set are here"):
        darkroom.open(tmp_path / "photos")
    with pytest.raises(AttributeError, match="has no attribute 'close'"):
        darkroom.close  # noqa: B018


class Stub:
    """A classifier of two classes that counts how often it is loaded."""

    name, dataset, classes, opened = "pixels/svm", "pets", ["cat", "dog"], 0

    def open(self, threads: int) -> object:
        self.opened += 1
        return lambda pixels: np.tile(np.float32([0.25, 0.75]), (len(pixels), 1))


def test_a_model_is_loaded_once_and_gives_a_row_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(model, found, *, threshold, threads, ask):
        p = ask(np.zeros((len(found.paths), 2, 2, 3), np.uint8))
        for path, row in zip(found.paths, p, strict=True):
            usable = not path.endswith("broken.png")
            yield picture.Prediction(
                path, "dog" if usable else "", row if usable else row[:0],
                "ok" if usable else "unusable", "" if usable else "truncated",
            )  # fmt: skip

    monkeypatch.setattr(picture, "predict", predict)
    monkeypatch.setattr(beside, "threshold_beside", lambda model: (0.5, ""))
    stub = Stub()
    model = Model(stub)
    told = model.predict("a.png")
    assert told.to_dict("records") == [
        {
            "file": "a.png",
            "predicted": "dog",
            "cat": 0.25,
            "dog": 0.75,
            "unlike": False,
            "status": "ok",
            "reason": "",
        }
    ]
    told = model.predict([Path("b.png"), "broken.png"])
    assert told["predicted"].tolist() == ["dog", ""] and pandas.isna(told["dog"][1])
    assert stub.opened == 1
    assert repr(model) == "<pixels/svm of pets: cat, dog>"
