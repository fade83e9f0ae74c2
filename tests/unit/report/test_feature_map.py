"""The map keeps neighbours together, is bounded, and marks what was misclassified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.report import feature_map
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import loaded, write


def test_images_of_alike_features_lie_side_by_side_each_time_the_same() -> None:
    random = np.random.default_rng(0)
    label = np.repeat(np.arange(3), 20)
    x = (np.eye(3)[label] @ random.normal(size=(3, 40)) + random.normal(0, 0.1, (60, 40))).astype(
        np.float32
    )
    place = feature_map.projected(x)
    assert place.min() == 0 and place.max() == 1
    away = np.linalg.norm(place[:, None] - place[None], axis=2)
    nearest = np.argsort(away, axis=1)[:, 1:6]
    assert (label[nearest] == label[:, None]).mean() > 0.95
    assert np.array_equal(place, feature_map.projected(x))


def test_equal_features_give_a_map_too() -> None:
    assert np.isfinite(feature_map.projected(np.ones((12, 5), np.float32))).all()


def test_the_page_has_a_point_and_a_thumbnail_for_each_misclassified_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_map, "MOST", 24)
    folder = Folder(tmp_path, Plan(seeds=(0,), per_class=40, skill={"head": 0.6}))
    page = write(folder, ["feature_map.svg"], features=folder.features())
    points = [a for tag, a in page.tags if tag == "li" and "data-x" in a]
    assert len(points) == 24 and "24 of the 30 test images" in page.text
    assert all(0 <= float(str(a[k])) <= 1 for a in points for k in ("data-x", "data-y"))
    words = [w.strip() for w in page.words if w.startswith(("cat/", "dog/", "fox/")) and ": " in w]
    wrong = ["predicted" in w for w in words[-24:]]
    assert wrong == sorted(wrong, reverse=True) and 0 < sum(wrong) < 24
    assert f"one of the {sum(wrong)} that" in page.text
    sheets = [a["src"] for tag, a in page.tags if tag == "img" and "data-columns" in a]
    assert len(sheets) == 1 and str(sheets[0]).startswith("data:image/png;base64,")


def test_hardly_any_images_have_no_map(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,), per_class=8))
    assert feature_map.feature_map(loaded(folder), folder.features()) is None


def test_many_classes_of_large_images_stay_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_map, "MOST", 100)
    plan = Plan(
        classes=[f"class {k}" for k in range(60)], per_class=12, seeds=(0,), size=(64, 64, 3),
        skill={"head": 0.7}, epochs=1,
    )  # fmt: skip
    folder = Folder(tmp_path, plan)
    page = write(folder, ["feature_map.svg"], features=folder.features())
    assert sum("data-x" in a for _, a in page.tags) == 100
    assert "The 8 most frequent classes have a colour" in page.text
    assert len(page.html) < 6e6
