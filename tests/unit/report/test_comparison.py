"""Networks and feature sets side by side: chosen by validation, and no difference that chance makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from darkroom.report import comparison, drawing, origin
from darkroom.report.results import Curve
from tests.support.figures import drawn, history, words
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import Page, write

NAMES = ("net-sgd", "net-momentum", "net-adam")
DIFFER = {m: {"optimizer.name": m.removeprefix("net-"), "batch": i} for i, m in enumerate(NAMES)}


def judged(folder: Folder, validation: dict[str, float], right: dict[str, float]) -> None:
    """Give each network a validation score, and a share of the test rows that it has right."""
    summary = pd.read_parquet(folder.path("summary.parquet"))
    for model, score in validation.items():
        own = (summary["model"] == model) & (summary["part"] == "validation")
        summary.loc[own, "balanced_accuracy"] = score
    summary.to_parquet(folder.path("summary.parquet"), index=False)
    said = pd.read_parquet(folder.path("predictions.parquet"))
    k = len(folder.plan.classes)
    for model, share in right.items():
        own = (said["model"] == model) & (said["part"] == "test")
        # The same images are hard for all: the first of each class fail first.
        rank = said[own].groupby(["feature_set", "class"])["row"].rank(pct=True)
        wrong = (rank <= 1 - share).astype(int)
        said.loc[own, "predicted"] = ((said.loc[own, "class"] + wrong) % k).astype(np.int16)
    said.to_parquet(folder.path("predictions.parquet"), index=False)


def compared(folder: Folder, groups: dict[str, Any] | None = None) -> Page:
    arguments = folder.arguments()["cfg"] | {
        "compared": {"net": DIFFER} if groups is None else groups
    }
    return write(folder, ["comparison.svg"], cfg=arguments)


def section(page: Page) -> str:
    words = re.search(r"By the validation images .*? slowed each other", page.text)
    assert words is not None
    return words[0]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, Plan(models=NAMES, per_class=100, skill={"head": 0.9}, seeds=(0, 1)))


def test_a_comparison_is_told_with_what_holds_and_what_may_be_chance(folder: Folder) -> None:
    judged(
        folder,
        {"net-sgd": 0.7, "net-momentum": 0.8, "net-adam": 0.9},
        {"net-sgd": 0.6, "net-momentum": 0.92, "net-adam": 0.93},
    )
    page = compared(folder)
    text = section(page)
    assert "By the validation images adam is the best of the 3." in text
    assert (
        "its balanced accuracy is higher than that of sgd; its distance to momentum is within chance."
        in text
    )
    assert "sgd optimizer sgd, batch 0" in text
    table = page.html.split('id="comparison"')[1].split("<tbody>")[1].split("</table>")[0]
    order = [table.index(f">{name}</th>") for name in ("adam", "momentum", "sgd")]
    assert order == sorted(order)
    assert table.count("within chance") == 1 and table.count('class="chosen"') == 1
    assert "−0.3" in table.split(">sgd</th>")[1]


def test_a_network_that_only_the_test_favours_is_not_the_best(folder: Folder) -> None:
    judged(
        folder,
        {"net-sgd": 0.7, "net-momentum": 0.8, "net-adam": 0.9},
        {"net-sgd": 0.99, "net-momentum": 0.6, "net-adam": 0.6},
    )
    text = section(compared(folder))
    assert "adam is the best of the 3" in text
    assert "which choose nothing, the balanced accuracy of sgd is higher" in text


def test_the_random_start_counts_among_the_chances(folder: Folder) -> None:
    """Two starts far apart pin nothing down, however many images there are."""
    scores = {"net-sgd": 0.7, "net-momentum": 0.8, "net-adam": 0.9}
    judged(folder, scores, {"net-sgd": 0.75, "net-momentum": 0.9, "net-adam": 0.9})
    before = section(compared(folder))
    assert "higher than that of sgd" in before
    said = pd.read_parquet(folder.path("predictions.parquet"))
    for seed, share in (("0", 0.5), ("1", 1.0)):
        own = (said["feature_set"] == f"net-sgd-seed{seed}") & (said["part"] == "test")
        rank = said[own].groupby("class")["row"].rank(pct=True)
        wrong = (rank <= 1 - share).astype(int)
        said.loc[own, "predicted"] = ((said.loc[own, "class"] + wrong) % 3).astype(np.int16)
    said.to_parquet(folder.path("predictions.parquet"), index=False)
    assert "higher than that of sgd" not in section(compared(folder))


def test_the_course_of_each_network_is_in_the_table(folder: Folder) -> None:
    for place in folder.histories:
        table = pd.read_csv(place)
        own = "momentum" in place
        table["val_loss"] = 0.75
        table.loc[2 + ("seed1" in place), "val_loss"] = 0.25
        table["val_accuracy"] = 0.5
        table["seconds"] = 100.0 if own else 1.0
        table.to_csv(place, index=False)
    text = section(compared(folder))
    assert "0.750 0.250 at 3 to 4" in text
    assert "0.500 0.500 at 1" in text
    assert "13 min 20 s" in text and " 8.0 s " in text
    assert "logarithmic axis" in text
    assert "thin ones of training" in text


def test_networks_of_no_comparison_stand_side_by_side_too(folder: Folder) -> None:
    text = section(compared(folder, {}))
    assert "is the best of the 3" in text and "net-adam" in text
    assert "optimizer" not in text


def test_one_network_alone_is_not_compared(tmp_path: Path) -> None:
    page = write(Folder(tmp_path, Plan(seeds=(0,))))
    assert 'id="comparison"' not in page.html and "#comparison" not in page.html
    assert page.count("svg") == 7


def test_several_comparisons_and_all_of_them(tmp_path: Path) -> None:
    models = tuple(f"{a}-{b}" for a in ("one", "two") for b in "xy")
    folder = Folder(tmp_path, Plan(models=models, skill={"head": 0.9}, seeds=(0,)))
    groups = {a: {f"{a}-{b}": {"epochs": b} for b in "xy"} for a in ("one", "two")}
    page = compared(folder, groups)
    table = page.html.split('id="comparison"')[1].split("</section>")[0]
    heads = re.findall(r"<h3>(.*?)</h3>", table)
    assert heads == ["one", "two", "All networks"]
    assert "not the random start" in page.text


def test_of_many_networks_the_best_by_validation_are_drawn(tmp_path: Path) -> None:
    models = tuple(f"net-m{i:02d}" for i in range(10))
    folder = Folder(tmp_path, Plan(models=models, skill={"head": 0.9}, seeds=(0,), per_class=20))
    judged(folder, {m: 0.5 + 0.01 * i for i, m in enumerate(models)}, {})
    page = compared(folder, {"net": {m: {} for m in models}})
    drawn = Path(folder.path("figures/comparison.svg")).read_text()
    assert ">m09<" in drawn and ">m02<" in drawn and ">m01<" not in drawn
    assert "Of 10 networks of net the best 8 by validation are drawn." in page.text
    assert "m00" in section(page)


def test_no_validation_images_no_best(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(models=NAMES, skill={"head": 0.9}, seeds=(0,), validation=0.0))
    page = compared(folder)
    assert "the others are compared with the first, sgd" in page.text
    assert "is the best of the" not in page.text


def test_classifiers_on_several_feature_sets_stand_in_a_grid(tmp_path: Path) -> None:
    skill = {"head": 0.9, "svm": 0.95, "random_forest": 0.85, "knn": 0.8, "linear_svm": 0.7}
    models = ("cnn", "hog", "pixels", "mobilenet")
    folder = Folder(tmp_path, Plan(models=models, skill=skill, seeds=(0,)))
    for name in ("summary.parquet", "metrics.parquet"):  # only one of them is a network
        table = pd.read_parquet(folder.path(name))
        own = (table["classifier"] != "head") | (table["model"] == "cnn")
        table[own].to_parquet(folder.path(name), index=False)
    folder.histories = [h for h in folder.histories if "cnn" in h]
    page = write(folder, ["scores.svg"])
    grid = page.html.split("Feature sets side by side")[1].split("</table>")[0]
    summary = pd.read_parquet(folder.path("summary.parquet"))
    test = summary[summary["part"] == "test"].set_index(["model", "classifier"])["accuracy"]
    rows = dict(re.findall(r'<tr><th scope="row"[^>]*>(\w+)</th>(.*?)</tr>', grid, re.S))
    assert set(rows) == set(models)
    heads = re.findall(r"<th data-sort>(.*?)</th>", grid)
    heads = [h.replace("<wbr>", "").replace("its own head", "head") for h in heads]
    assert sorted(heads) == sorted(skill)
    for model, row in rows.items():
        cells = re.findall(r'data-value="([^"]*)"', row)
        for head, cell in zip(heads, cells, strict=True):
            expected = test.get((model, head), -1)
            assert float(cell) == pytest.approx(expected)
    assert grid.count("score best") == 1
    drawn = Path(folder.path("figures/scores.svg")).read_text()
    assert all(len(re.findall(rf">{m}<", drawn)) == 1 for m in models)
    assert len(re.findall(">svm<", drawn)) == 4 and "svm on" not in drawn


def test_more_scores_than_a_figure_holds_are_told(tmp_path: Path) -> None:
    skill = {f"c{i}": 0.9 for i in range(7)}
    models = [f"set{i}" for i in range(7)]
    folder = Folder(tmp_path, Plan(models=models, skill=skill, seeds=(0,), per_class=12))
    page = write(folder, ["scores.svg"], histories=[])
    assert "The first 40 of 49 by validation; the table has all." in page.text
    assert page.html.count("score best") == 1


def test_settings_are_shown_as_they_were_written() -> None:
    layers = ["conv", "flatten"]
    models = {
        "net-a": {"layers": layers, "optimizer": {"name": "sgd", "learning_rate": 0.1}},
        "net-b": {"layers": layers, "optimizer": {"learning_rate": 0.1}, "batch": 3},
        "other": {"layers": ["dense"]},
    }
    settings = {"dataset": {"source": "x"}, "models": models}
    shown = origin.condensed(settings, {"net": ["net-a", "net-b"]})
    assert shown == {
        "dataset": {"source": "x"},
        "models": {
            "other": {"layers": ["dense"]},
            "net": {
                "layers": layers,
                "optimizer": {"learning_rate": 0.1},
                "compare": {"a": {"optimizer": {"name": "sgd"}}, "b": {"batch": 3}},
            },
        },
    }
    assert len(models) == 3


# ---------------------------------------------------------------- the figure


def timed(seconds: float, epochs: int = 5, shift: float = 0.0) -> Curve:
    table = history(epochs).assign(seconds=seconds)
    table[["loss", "val_loss"]] += shift
    return Curve("m", 0, "holdout", table)


def test_a_mean_curve_is_the_mean_of_its_runs_as_far_as_all_went() -> None:
    curve = comparison.MeanCurve.of([timed(2), timed(4, shift=0.5), timed(6, epochs=3, shift=1.0)])
    assert curve.runs == 3 and len(curve.seconds) == 3
    assert curve.seconds.tolist() == [4, 8, 12]
    epoch = np.arange(1, 4)
    assert curve.mean["val_loss"] == pytest.approx(1.1 / epoch + 0.5)
    assert curve.low["loss"] == pytest.approx(1 / epoch)
    assert curve.high["loss"] == pytest.approx(1 / epoch + 1)


def laid_together(networks: int, **changes: float) -> Figure:
    named = [
        (f"n{i}", comparison.MeanCurve.of([timed(i + 1, **changes)] * 2)) for i in range(networks)
    ]
    return comparison.comparison([("all", named)])


def test_networks_stand_on_common_axes_by_epoch_and_by_seconds() -> None:
    with drawing.drawing():
        figure = laid_together(3)
    by_epoch, by_seconds = figure.axes[0], figure.axes[2]
    assert [len(line.get_xdata()) for line in by_epoch.lines] == [5] * 6  # validation, training
    assert list(by_epoch.lines[0].get_xdata()) == [1, 2, 3, 4, 5]
    assert list(by_seconds.lines[4].get_xdata()) == [3, 6, 9, 12, 15]
    assert by_seconds.get_xlabel() == "seconds of training"
    assert by_seconds.get_xscale() == "linear"
    assert len(by_epoch.collections) == 3  # a band each


def test_no_two_networks_look_alike_even_in_grey() -> None:
    with drawing.drawing():
        axis = laid_together(comparison.MOST).axes[0]
    assert len(axis.lines) == comparison.MOST  # no training lines beside so many
    looks = {(str(line._dash_pattern), line.get_marker()) for line in axis.lines}
    assert len(looks) >= comparison.MOST - 1
    assert len({line.get_color() for line in axis.lines}) == comparison.MOST


def test_seconds_of_very_different_trainings_stand_on_a_log_axis() -> None:
    with drawing.drawing():
        axis = laid_together(comparison.WIDE_SPAN + 1).axes[2]
    assert axis.get_xscale() == "log"


@pytest.mark.parametrize(
    ("seconds", "unit"), [(30, "seconds"), (500, "minutes"), (20000, "hours of training")]
)
def test_long_trainings_are_told_in_their_unit(seconds: float, unit: str) -> None:
    with drawing.drawing():
        figure = comparison.comparison(
            [("", [("a", comparison.MeanCurve.of([timed(seconds)]))] * 2)]
        )
    assert unit in figure.axes[2].get_xlabel()


def test_without_validation_or_seconds_the_rest_is_shown(tmp_path: Path) -> None:
    run = Curve("m", 0, "holdout", history(validation=False))
    networks = [("a", comparison.MeanCurve.of([run])), ("b", comparison.MeanCurve.of([run]))]
    with drawing.drawing():
        figure = comparison.comparison([("", networks)])
        assert "training loss" in words(drawn(figure, tmp_path / "c.svg"))
    assert len(figure.axes) == 2 and len(figure.axes[0].lines) == 2


def test_one_epoch_and_a_diverging_network_are_drawn(tmp_path: Path) -> None:
    wild = history(5).assign(seconds=1.0, val_loss=[1.0, 2, np.inf, 1e9, np.nan])
    networks = [
        ("wild", comparison.MeanCurve.of([Curve("w", 0, "holdout", wild)])),
        ("one", comparison.MeanCurve.of([timed(1, epochs=1)])),
        ("plain", comparison.MeanCurve.of([timed(1, epochs=8)])),
    ]
    with drawing.drawing():
        figure = comparison.comparison([("", networks)])
        drawn(figure, tmp_path / "c.svg")
    assert figure.axes[0].get_ylim()[1] < 20
