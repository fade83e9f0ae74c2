"""Figures: legible for any data, the same bytes each time, never a crash over a name."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from darkroom.report import (
    abstention,
    classes,
    comparison,
    curves,
    drawing,
    images,
    scores,
    sheets,
    training,
)
from darkroom.report.figure_names import FIGURES
from darkroom.report.results import Curve
from tests.support.figures import drawn, history, words

HOSTILE = ["<script>x</script>", "日本語", "$a_1$", "قطة", "🐶", "a\x00b\n", "long" * 30, "&amp;"]


def table_of_scores(n: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": [("m", f"c{i}") for i in range(n)],
            "name": [f"c{i} on m" for i in range(n)],
            "part": "test",
            "group": "",
            "chosen": [i == 0 for i in range(n)],
            "accuracy": np.linspace(0.95, 0.9, n),
            "accuracy_low": np.linspace(0.93, 0.88, n),
            "accuracy_high": np.linspace(0.97, 0.92, n),
        }
    )


def some_figure(name: str, names: list[str]) -> Figure:
    k = len(names)
    if name == "learning_curves.svg":
        return training.learning_curves([Curve(names[0], 0, "holdout", history(kept=4))])
    if name == "comparison.svg":
        course = comparison.MeanCurve.of([Curve("m", 0, "holdout", history())])
        return comparison.comparison([(names[0], [(n, course) for n in names[: comparison.MOST]])])
    if name == "class_counts.svg":
        columns = {"train": np.arange(1, k + 1), "validation": 1, "test": 2, "unused": 0}
        return images.class_counts(pd.DataFrame(columns, index=names))
    if name == "scores.svg":
        return scores.drawn(table_of_scores(), {("m", "c0"): [0.94, 0.96]}, 0.9)
    if name == "confusion.svg":
        matrix = np.eye(k) * 5 + np.roll(np.eye(k), 1, axis=1)
        return classes.confusions({names[0]: matrix, "other": matrix}, names)
    if name == "calibration.svg":
        sure = np.linspace(0.3, 1, 50)
        return classes.calibration({names[0]: classes.reliability(sure, sure > 0.5)})
    if name == "curves.svg":
        right = np.arange(50) % 3 == 0
        one = curves.Ranked.of(right, np.linspace(0, 1, 50))
        shown = names[: curves.MOST_PROBABILITIES]
        return curves.drawn({n: [one, one] for n in shown}, dict.fromkeys(shown, 0.3))
    if name == "risk.svg":
        share = np.linspace(1, 0.05, 20)
        points = {"coverage": share, "accuracy": 1 - share / 9}
        ends = {"accuracy_low": 0.98 - share / 9, "accuracy_high": 1 - share / 10}
        return abstention.drawn(pd.DataFrame(points | ends))
    image = np.zeros((8, 8, 3), np.uint8)
    return sheets.sheet(sheets.Sheet([(n, [image] * 3) for n in names[:9]]))


SOME = FIGURES[:9]


@pytest.mark.parametrize("k", [2, 8, 30, 120])
def test_any_number_of_classes(tmp_path: Path, k: int) -> None:
    names = (HOSTILE + [f"class {i}" for i in range(200)])[:k]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that no font has is not worth a warning
        for name in SOME:
            with drawing.drawing():
                text = drawn(some_figure(name, names), tmp_path / name)
            if name.endswith(".svg"):
                page = drawing.inline(str(tmp_path / name), 'a "title" <b>')
                assert "<script" not in text + page
                assert "$a_1$" in words(text) or name != "class_counts.svg" or not 2 < k <= 40


def test_same_figure_same_bytes(tmp_path: Path) -> None:
    for turn in ("a", "b"):
        for name in SOME:
            with drawing.drawing():
                drawn(some_figure(name, ["x", "y", "z"]), tmp_path / turn / name)
    for name in SOME:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_last_bit_of_a_layout_changes_no_byte(tmp_path: Path) -> None:
    """Solvers of layouts do not repeat it."""
    texts = []
    for left in (0.1, float(np.nextafter(0.1, 1))):
        figure = Figure()
        figure.add_axes((left, 0.1, 0.8, 0.8)).plot([0, 1], [0, 1])
        drawing.save(figure, str(tmp_path / "one.svg"))
        texts.append((tmp_path / "one.svg").read_text())
    assert texts[0] == texts[1] and 'clip-path="url(#one-' in texts[0]


def test_settings_of_matplotlib_are_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with drawing.drawing():
        assert matplotlib.rcParams["svg.fonttype"] == "none"
    assert dict(matplotlib.rcParams) == before


def test_nothing_to_show_is_said_in_words(tmp_path: Path) -> None:
    empty = pd.DataFrame({"train": [], "test": []})
    said = {
        "No network was trained": training.learning_curves([]),
        "no two networks": comparison.comparison([]),
        "nothing to count": images.class_counts(empty),
        "no scores": scores.drawn(table_of_scores(0), {}, None),
        "nothing can be confused": classes.confusions({"m": np.zeros((2, 2))}, ["a", "b"]),
        "no calibration": classes.calibration(
            {"m": classes.reliability(np.zeros(0), np.zeros(0, bool))}
        ),
        "there are no curves": curves.drawn({}, {}),
        "no image was taken": classes.confusions({"m": np.eye(50)}, list(map(str, range(50)))),
    }
    for i, (reason, figure) in enumerate(said.items()):
        with drawing.drawing():
            assert reason in words(drawn(figure, tmp_path / f"{i}.svg"))


def test_reliability_counts_and_error() -> None:
    sure = np.array([0.95, 0.95, 0.95, 0.95, 1.0, 0.12])
    right = np.array([True, True, True, False, True, False])
    r = classes.reliability(sure, right)
    assert r.count.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 5]
    assert r.accuracy[9] == pytest.approx(0.8)
    assert r.confidence[9] == pytest.approx(0.96)
    assert r.error == pytest.approx((5 * 0.16 + 0.12) / 6)


def test_worst_pairs_are_ordered_and_leave_the_diagonal_out() -> None:
    matrix = np.array([[90.0, 7, 3], [0, 10, 0], [8, 0, 2]])
    assert classes.worst_pairs(matrix, 5) == [
        (2, 0, 8.0, 0.8),
        (0, 1, 7.0, 0.07),
        (0, 2, 3.0, 0.03),
    ]


def test_a_matrix_shows_its_counts(tmp_path: Path) -> None:
    matrix = np.array([[41.0, 2.5], [3, 1234]])
    with drawing.drawing():
        text = words(drawn(classes.confusions({"svm": matrix}, ["no", "yes"]), tmp_path / "c.svg"))
    for word in ("41", "2.5", "3", "1234", "no", "yes", "svm"):
        assert word in text.split()


def test_the_baseline_is_drawn_only_where_it_is_near(tmp_path: Path) -> None:
    def verticals(baseline: float) -> int:
        with drawing.drawing():
            axis = scores.drawn(table_of_scores(), {}, baseline).axes[0]
        return sum(1 for line in axis.lines if list(line.get_xdata()) == [baseline] * 2)

    assert verticals(0.9) == 1
    assert verticals(0.1) == 0


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [
        ((8, 8, 1), 80, (80, 80, 3)),
        ((28, 28, 1), 80, (56, 56, 3)),
        ((64, 64, 3), 80, (64, 64, 3)),
        ((224, 112, 3), 80, (80, 40, 3)),
        ((1000, 2, 3), 80, (80, 1, 3)),
        ((1, 1, 3), 80, (80, 80, 3)),
    ],
)
def test_images_are_fitted(
    shape: tuple[int, int, int], side: int, expected: tuple[int, int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    fitted = sheets.fit(image, side)
    assert fitted.shape == expected
    assert fitted.dtype == np.uint8


def test_small_images_keep_their_own_pixels() -> None:
    image = np.array([[[0], [255]], [[9], [77]]], np.uint8)
    fitted = sheets.fit(image, 6)
    assert set(np.unique(fitted)) == {0, 9, 77, 255}
    assert fitted[0, 2, 0] == 0
    assert fitted[0, 3, 0] == 255


def test_a_sheet_holds_its_pictures_pixel_for_pixel(tmp_path: Path) -> None:
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 200
    content = sheets.Sheet([("a", [red] * 8)], heads=["one"] * 8, captions=[["x\ny"] * 8])
    with drawing.drawing():
        drawing.save(sheets.sheet(content, side=20), str(tmp_path / "s.png"))
    with Image.open(tmp_path / "s.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels == [200, 0, 0]).all(axis=2).sum() == 8 * 400


def test_names_are_cut_in_the_middle() -> None:
    assert drawing.plain("short") == "short"
    assert drawing.plain("a" * 20 + "b" * 20, 11) == "aaaaa…bbbbb"
    assert drawing.plain("a\x00\n") == "a\ufffd\ufffd"


def test_inline_follows_the_theme_and_shares_no_id(tmp_path: Path) -> None:
    ids: list[str] = []
    for name in SOME[:6]:
        with drawing.drawing():
            drawn(some_figure(name, ["x", "y", "#0072b2"]), tmp_path / name)
        text = drawing.inline(str(tmp_path / name), name)
        root = ET.fromstring(text)
        ids += [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        assert "var(--ink)" in text
        assert "fill: #ffffff" not in text
        assert "<style" not in text
        assert "<metadata" not in text
        if name == "class_counts.svg":
            assert "#0072b2" in words(text)
    assert len(ids) == len(set(ids))
    (tmp_path / "x.svg").write_text("<svg></svg>")
    with pytest.raises(ValueError, match="no SVG"):
        drawing.inline(str(tmp_path / "x.svg"), "x")
