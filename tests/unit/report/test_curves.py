"""Curves of one network and of several on common axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from darkroom.report import curves, figures
from tests.support.figures import drawn, history, words


def test_curves_without_validation_have_no_validation_line(tmp_path: Path) -> None:
    curve = curves.Curve("m", "0", "holdout", history(validation=False))
    with figures.drawing():
        text = words(drawn(curves.learning_curves([curve]), tmp_path / "c.svg"))
    assert "training" in text
    assert "validation" not in text


def test_one_epoch_and_a_diverged_run(tmp_path: Path) -> None:
    wild = history(6)
    wild.loc[0, ["loss", "val_loss"]] = 1e6
    wild.loc[5, ["loss", "val_loss"]] = np.inf
    runs = [
        curves.Curve("one", "0", "holdout", history(1), 1),
        curves.Curve("wild", "0", "holdout", wild),
    ]
    with figures.drawing():
        figure = curves.learning_curves(runs)
        drawn(figure, tmp_path / "c.svg")
    top = figure.axes[2].get_ylim()[1]
    assert top < 10  # the first epoch's million does not flatten the rest


def test_many_curves_stay_few_panels() -> None:
    runs = [curves.Curve(f"m{i}", "0", "holdout", history()) for i in range(20)]
    with figures.drawing():
        assert len(curves.learning_curves(runs).axes) == 2 * curves.MOST_MODELS


def timed(seconds: float, epochs: int = 5, shift: float = 0.0) -> curves.Curve:
    table = history(epochs).assign(seconds=seconds)
    table[["loss", "val_loss"]] += shift
    return curves.Curve("m", "0", "holdout", table)


def test_a_course_is_the_mean_of_its_runs_as_far_as_all_went() -> None:
    course = curves.Course.of([timed(2), timed(4, shift=0.5), timed(6, epochs=3, shift=1.0)])
    assert course.runs == 3 and len(course.seconds) == 3
    assert course.seconds.tolist() == [4, 8, 12]
    epoch = np.arange(1, 4)
    assert course.mean["val_loss"] == pytest.approx(1.1 / epoch + 0.5)
    assert course.low["loss"] == pytest.approx(1 / epoch)
    assert course.high["loss"] == pytest.approx(1 / epoch + 1)


def compared(networks: int, **changes: float) -> Figure:
    named = [(f"n{i}", curves.Course.of([timed(i + 1, **changes)] * 2)) for i in range(networks)]
    return curves.comparison([("all", named)])


def test_networks_stand_on_common_axes_by_epoch_and_by_seconds() -> None:
    with figures.drawing():
        figure = compared(3)
    by_epoch, by_seconds = figure.axes[0], figure.axes[2]
    assert [len(line.get_xdata()) for line in by_epoch.lines] == [5] * 6  # validation, training
    assert list(by_epoch.lines[0].get_xdata()) == [1, 2, 3, 4, 5]
    assert list(by_seconds.lines[4].get_xdata()) == [3, 6, 9, 12, 15]
    assert by_seconds.get_xlabel() == "seconds of training"
    assert by_seconds.get_xscale() == "linear"
    assert len(by_epoch.collections) == 3  # a band each


def test_no_two_networks_look_alike_even_in_grey() -> None:
    with figures.drawing():
        axis = compared(curves.MOST_MODELS).axes[0]
    assert len(axis.lines) == curves.MOST_MODELS  # no training lines beside so many
    looks = {(str(line._dash_pattern), line.get_marker()) for line in axis.lines}
    assert len(looks) >= curves.MOST_MODELS - 1
    assert len({line.get_color() for line in axis.lines}) == curves.MOST_MODELS


def test_seconds_of_very_different_trainings_stand_on_a_log_axis() -> None:
    with figures.drawing():
        axis = compared(curves.WIDE_SPAN + 1).axes[2]
    assert axis.get_xscale() == "log"


@pytest.mark.parametrize(
    ("seconds", "words"), [(30, "seconds"), (500, "minutes"), (20000, "hours of training")]
)
def test_long_trainings_are_told_in_their_unit(seconds: float, words: str) -> None:
    with figures.drawing():
        figure = curves.comparison([("", [("a", curves.Course.of([timed(seconds)]))] * 2)])
    assert words in figure.axes[2].get_xlabel()


def test_without_validation_or_seconds_the_rest_is_shown(tmp_path: Path) -> None:
    run = curves.Curve("m", "0", "holdout", history(validation=False))
    networks = [("a", curves.Course.of([run])), ("b", curves.Course.of([run]))]
    with figures.drawing():
        figure = curves.comparison([("", networks)])
        assert "training loss" in words(drawn(figure, tmp_path / "c.svg"))
    assert len(figure.axes) == 2 and len(figure.axes[0].lines) == 2


def test_one_epoch_and_a_diverging_network_are_drawn(tmp_path: Path) -> None:
    wild = history(5).assign(seconds=1.0, val_loss=[1.0, 2, np.inf, 1e9, np.nan])
    networks = [
        ("wild", curves.Course.of([curves.Curve("w", "0", "holdout", wild)])),
        ("one", curves.Course.of([timed(1, epochs=1)])),
        ("plain", curves.Course.of([timed(1, epochs=8)])),
    ]
    with figures.drawing():
        figure = curves.comparison([("", networks)])
        drawn(figure, tmp_path / "c.svg")
    assert figure.axes[0].get_ylim()[1] < 20
