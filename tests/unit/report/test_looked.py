"""Heat maps are of the right images and stand where the model looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from darkroom.images.store import open_images
from darkroom.report import looked
from darkroom.report.looked import Look
from tests.support.looking import Corner, arguments
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import loaded, write


def predicted(n: int, classes: int) -> pd.DataFrame:
    """Rows that are surer and surer; each seventh is wrong."""
    truth = np.arange(n) % classes
    said = np.where(np.arange(n) % 7 == 0, (truth + 1) % classes, truth)
    sure = np.linspace(0.5, 0.99, n)
    return pd.DataFrame(
        {"row": np.arange(n), "class": truth, "predicted": said, "confidence": sure}
    )


def test_the_surest_that_are_wrong_come_first_and_of_each_class_the_middle_of_the_right() -> None:
    found = looked.choose(predicted(60, 2), 2)
    assert found["row"].tolist()[:6] == [56, 49, 42, 35, 28, 21]
    right = found[found["class"] == found["predicted"]]
    assert right["class"].tolist() == [0, 0, 1, 1]
    assert right["confidence"].between(0.6, 0.9).all()


@pytest.mark.parametrize("classes", [3, 10, 18, 200])
def test_there_are_never_more_than_twenty_four(classes: int) -> None:
    found = looked.choose(predicted(3000, classes), classes)
    assert 6 + min(classes, 18) <= len(found) <= 24
    assert found["row"].is_unique


def test_the_marked_image_is_orange_where_it_looked_and_grey_elsewhere() -> None:
    pixels = np.full((8, 8, 3), (0, 0, 255), np.uint8)
    fall = np.zeros((4, 4), np.float32)
    fall[0, 3] = 0.4
    one = Look("a.png", "a", "b", 0.9, pixels, fall)
    drawn = looked.marked(one).astype(int)
    side = len(drawn)
    spread = np.ptp(drawn, axis=2)
    assert (spread[: side // 4, -(side // 4) :] > 100).all()
    assert not spread[:, : side // 2].any() and not spread[side // 2 :].any()
    assert (one.place, one.most) == ("upper right", pytest.approx(0.4))


def test_the_report_shows_where_the_best_model_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    given = arguments(folder, monkeypatch)
    page = write(folder, ["looked.png"], **given)
    places = [word for word in page.words if word.endswith(" less")]
    assert len(places) >= 6 and all("most at the upper left: 0." in word for word in places)
    marked = [a["alt"] for tag, a in page.tags if tag == "img" and "looked" in str(a.get("alt"))]
    assert len(marked) == len(places)
    assert "cnn-seed0/svm" in page.text

    results = loaded(folder)
    wrong = results.predicted(("cnn", "svm"))
    chosen = looked.choose(wrong, 3)
    assert len(chosen) > 4
    seen, model = open_images(given["views"][0]), Corner(folder).open(1)
    slow = looked.LEAST / 50  # 3 of 4 × 4 parts
    assert len(looked.heat_maps(model, slow, seen, chosen, results)) == 2
    assert looked.heat_maps(model, 4 * slow, seen, chosen, results) == []
    found = looked.look(results, folder.path("report.html"), given["models"], [])
    assert found.why == "The images that the model learned from are not there."
    assert looked.look(results, folder.path("report.html"), ["other"], []).why
