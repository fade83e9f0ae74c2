"""What a reader must be told beside the scores."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from darkroom.evaluate.comparisons import Difference
from darkroom.evaluate.ranking import Choice
from darkroom.report import caveats, slices
from darkroom.report.caveat import Caveat, Weight
from darkroom.report.caveats import Facts
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write

KEYS = [("cnn", "svm"), ("cnn", "head")]


def facts(**changes: Any) -> Facts:
    counts = pd.DataFrame(
        {"train": [500.0, 500], "validation": [100.0, 100], "test": [2500.0, 2500], "unused": 0.0},
        index=["cat", "dog"],
    )
    plain: dict[str, Any] = {
        "part": "test",
        "n": 5000,
        "low": 0.94,
        "high": 0.96,
        "baseline": 0.5,
        "counts": counts,
        "choice": Choice(KEYS[0], KEYS, "validation"),
        "names": {KEYS[0]: "svm on cnn", KEYS[1]: "cnn (network)"},
        "versus": Difference(0.02, 0.01, 0.03, 0.001, 5000, 100, True),
        "better": None,
        "seeds": 3,
        "networks": True,
        "picked_epoch": True,
        "files": 6200,
        "unusable": 0,
        "grouped": True,
        "groups": 900,
        "groupless": 0,
        "folds": 1,
        "by_fold": False,
    }
    return Facts(**(plain | changes))


def told(**changes: Any) -> dict[str, str]:
    found = caveats.caveats(facts(**changes))
    return {c.title: f"{c.sentence} {c.more}".strip() for c in found}


def test_a_clean_result_has_one_thing_to_keep_in_mind() -> None:
    said = told()
    assert list(said) == ["Test images used once"]
    assert "the epoch of each network" in said["Test images used once"]
    assert "the best of the classifiers" in said["Test images used once"]


@pytest.mark.parametrize(
    ("changes", "lead", "words"),
    [
        ({"part": "validation"}, "No test images", "flatter"),
        ({"low": 0.8, "high": 0.9}, "Wide interval", "±0.050"),
        ({"seeds": 1}, "One seed", "trained once"),
        ({"unusable": 62}, "Unusable files", "62 of 6,200 files (1.0 %)"),
        ({"grouped": False}, "No groups", "patient"),
        ({"groupless": 12, "unusable": 20}, "Images without a group", "12 of 6,180 usable images"),
        ({"groups": 30}, "Few groups", "of 30 groups"),
        (
            {"groups": 3, "low": math.nan},
            "No interval",
            "of 3 groups, or nearly all of fewer, so no interval is given. Fewer",
        ),
        ({"by_fold": True}, "Chosen within each fold", "its own validation images chose"),
        (
            {"versus": Difference(0.2, 0.1, 0.3, 0.0, 900, 300, False)},
            "Not distinguishable",
            "one random start each does not tell more",
        ),
        ({"better": ("knn", 0.99)}, "Another scores higher on the test", "knn reaches 0.990"),
        (
            {"versus": Difference(0.001, -0.01, 0.012, 0.8, 9, 3, True)},
            "Not distinguishable",
            "cnn (network): on the same images their balanced accuracy differs by +0.001 (−0.010 to +0.012)",
        ),
        (
            {"versus": Difference(0, 0, 0, 1.0, 9, 0, True)},
            "Not distinguishable",
            "the very same images",
        ),
    ],
)
def test_each_caveat_is_told(changes: dict[str, Any], lead: str, words: str) -> None:
    said = told(**changes)
    assert words in said[lead]
    assert lead not in told()


def test_uneven_and_scarce_classes() -> None:
    counts = facts().counts
    counts.loc["fox"] = [30.0, 5, 7, 0]
    said = told(counts=counts)
    assert "cat has 73.8 times as many images as fox" in said["Uneven classes"]
    assert "would reach 0.500" in said["Uneven classes"]
    assert "fox (7)" in said["Classes with few images"]
    assert "cat" not in said["Classes with few images"]
    # Of three folds each class is tested three times over.
    assert "Classes with few images" not in told(counts=counts, folds=3)


def test_the_first_screen_has_the_five_heaviest_and_no_notes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = [Weight.LIMIT] * 3 + [Weight.NOTE, Weight.WRONG, Weight.FLATTERS, Weight.LIMIT]
    made = [Caveat(w, str(i), "A sentence.", "results") for i, w in enumerate(weights)]
    monkeypatch.setattr(caveats, "SOURCES", [lambda _: made[:2], lambda _: made[2:]])
    nothing: Any = SimpleNamespace(derived={})
    assert [c.title for c in caveats.first(nothing)] == ["4", "5", "0", "1", "2"]
    assert [c.title for c in caveats.collected(nothing)] == ["4", "5", "0", "1", "2", "6", "3"]


def test_a_clean_result_has_no_warning() -> None:
    assert all(c.weight == Weight.NOTE for c in caveats.caveats(facts()))


def test_page_answer_and_card_reckon_the_caveats_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[int] = []
    reckoned = slices._reckoned

    def counted(results: Any) -> Any:
        times.append(1)
        return reckoned(results)

    monkeypatch.setattr(slices, "_reckoned", counted)
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    answer, card = folder.path("answer.txt"), folder.path("model_card.md")
    write(folder, answer=answer, model_card=card)
    assert len(times) == 1 and Path(answer).stat().st_size and Path(card).stat().st_size
