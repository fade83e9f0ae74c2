"""The curves are those whose areas the tables have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from darkroom import metrics
from darkroom.report import curves, drawing
from tests.support.figures import drawn, words
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write


def area_under(figure: Figure, color: str) -> float:
    lines = [line for line in figure.axes[0].lines if line.get_color() == color]
    areas = [np.trapezoid(*np.asarray(line.get_xydata()).T[::-1]) for line in lines]
    return float(np.mean(areas))


def test_the_area_under_the_drawn_curves_is_that_of_the_metrics() -> None:
    """With many ties, rows that float32 rounds to 1, and two runs."""
    random = np.random.default_rng(2)
    names, areas = ["a", "b", "c"], np.zeros((2, 3))
    found: dict[str, list[curves.Ranked]] = {}
    for run in range(2):
        truth = random.integers(0, 3, 400)
        p = random.dirichlet(np.ones(3), 400) + np.eye(3)[truth] * 0.7
        p = np.round(p / p.sum(axis=1, keepdims=True), 2)
        p[:9] = np.eye(3)[truth[:9]]
        areas[run] = metrics.scores(truth, p.argmax(axis=1), p)[1]["roc_auc"]
        for c, name in enumerate(names):
            ranked = curves.Ranked.of(truth == c, metrics.rest_odds(p, c))
            found.setdefault(name, []).append(ranked)
    figure = curves.drawn(found, dict.fromkeys(names, 1 / 3))
    for c in range(3):
        assert area_under(figure, curves.COLORS[c]) == pytest.approx(areas[:, c].mean(), abs=1e-12)


def test_precision_and_recall_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import precision_recall_curve

    random = np.random.default_rng(3)
    truth, score = random.random(200) < 0.2, random.random(200).round(2)
    ranked = curves.Ranked.of(truth, score)
    precision, recall, _ = precision_recall_curve(truth, score)
    assert ranked.recall[1:] == pytest.approx(recall[-2::-1])
    assert ranked.precision[1:] == pytest.approx(precision[-2::-1])


def test_the_report_has_the_curves_of_the_second_of_two_classes(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(classes=("no", "yes"), per_class=(60, 20), seeds=(0,)))
    page = write(folder, ["curves.svg"])
    text = words(Path(folder.path("figures/curves.svg")).read_text())
    assert "yes" in text and "no" not in text.split() and "guessing" not in text
    assert "What each threshold gives on the test images" in page.text
    assert "yes is the positive class" in page.text


def test_more_than_ten_classes_have_no_curves(tmp_path: Path) -> None:
    plan = Plan(classes=[f"c{i}" for i in range(11)], per_class=12, seeds=(0,))
    folder = Folder(tmp_path, plan)
    page = write(folder, ["curves.svg"])
    assert "What each threshold gives" not in page.text
    text = words(Path(folder.path("figures/curves.svg")).read_text())
    assert "Curves are drawn of up to 10 classes." in text


def test_curves_of_ten_classes_have_their_names(tmp_path: Path) -> None:
    ranked = curves.Ranked.of(np.array([False, True, True]), np.array([0.1, 0.5, 0.3]))
    names = [f"class {i}" for i in range(10)]
    with drawing.drawing():
        text = drawn(curves.drawn({n: [ranked] for n in names}, {}), tmp_path / "c.svg")
    assert all(name in words(text) for name in names)
