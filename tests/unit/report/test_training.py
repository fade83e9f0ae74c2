"""Curves of one network and of several on common axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darkroom.report import drawing, training
from darkroom.report.results import Curve
from tests.support.figures import drawn, history, words


def test_curves_without_validation_have_no_validation_line(tmp_path: Path) -> None:
    curve = Curve("m", 0, "holdout", history(validation=False))
    with drawing.drawing():
        text = words(drawn(training.learning_curves([curve]), tmp_path / "c.svg"))
    assert "training" in text
    assert "validation" not in text


def test_one_epoch_and_a_diverged_run(tmp_path: Path) -> None:
    wild = history(6)
    wild.loc[0, ["loss", "val_loss"]] = 1e6
    wild.loc[5, ["loss", "val_loss"]] = np.inf
    runs = [
        Curve("one", 0, "holdout", history(1, kept=1)),
        Curve("wild", 0, "holdout", wild),
    ]
    with drawing.drawing():
        figure = training.learning_curves(runs)
        drawn(figure, tmp_path / "c.svg")
    top = figure.axes[2].get_ylim()[1]
    assert top < 10  # the first epoch's million does not flatten the rest


def test_many_curves_stay_few_panels() -> None:
    runs = [Curve(f"m{i}", 0, "holdout", history()) for i in range(20)]
    with drawing.drawing():
        assert len(training.learning_curves(runs).axes) == 2 * training.MOST
