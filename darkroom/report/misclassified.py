"""The section of misclassified images: those that the chosen classifier is surest of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.report import drawing
from darkroom.report.drawing import plain
from darkroom.report.results import Results, heading
from darkroom.report.sheets import SHEET_SIDE, Sheet, fit, sheet, thumbnail
from darkroom.report.words import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 120  # a bound on what the page carries: it must stay below 15 MB whatever the data


@dataclass(frozen=True)
class Misclassified:
    """A wrongly classified image; `wrong` of `runs` runs were wrong about it."""

    row: int
    path: str
    truth: str
    predicted: str
    confidence: float
    of_truth: float
    wrong: int
    runs: int


def section(results: Results) -> dict[str, Any]:
    """The images with their classes, and how many there are."""
    found, total = misclassified(results)
    shown = []
    for m in found:
        image = results.image(m.row)
        if image is not None:
            shown.append((m, thumbnail(image, f"{m.path}: {m.truth}", shown=112)))
    key = results.reported
    return {
        "name": "" if key is None else heading(key),
        "shown": shown,
        "total": total,
        "images": 0 if key is None else int(results.predicted(key)["row"].nunique()),
        "wanted": results.cfg["misclassified"],
    }


def misclassified(results: Results) -> tuple[list[Misclassified], int]:
    """The most confident ones of the chosen classifier, and of how many images."""
    if results.reported is None:
        return [], 0
    all_of_it = results.predicted(results.reported)
    wrong = all_of_it[all_of_it["class"] != all_of_it["predicted"]]
    runs, times = all_of_it.groupby("row").size(), wrong.groupby("row").size()
    worst = wrong.sort_values(["confidence", "row"], ascending=[False, True], kind="stable")
    worst = worst.drop_duplicates("row").head(min(results.cfg["misclassified"], MOST))
    names = results.split.classes
    return [
        Misclassified(
            int(m["row"]),
            str(results.paths.get(m["row"], "")),
            names[int(m["class"])],
            names[int(m["predicted"])],
            float(m["confidence"]),
            float(m["of_truth"]),
            int(times[m["row"]]),
            int(runs[m["row"]]),
        )
        for _, m in worst.iterrows()
    ], len(times)


def figure(results: Results) -> Figure:
    """The images in rows, with their classes below."""
    images, words = [], []
    for m in misclassified(results)[0]:
        image = results.image(m.row)
        if image is not None:
            images.append(fit(image, SHEET_SIDE))
            words.append(
                f"is {plain(m.truth, 15)}\npredicted {plain(m.predicted, 11)}\n"
                f"at {number(m.confidence, 2)}"
            )
    if not images:
        if not results.cfg["misclassified"]:
            return drawing.in_words("The settings ask for no misclassified images to be shown.")
        return drawing.in_words(
            "Nothing was predicted." if results.choice is None else "No image was misclassified."
        )
    at = range(0, len(images), 8)
    rows = [("", images[i : i + 8]) for i in at]
    return sheet(Sheet(rows, captions=[words[i : i + 8] for i in at]))
