"""Images that were made worse in the report: the kind that costs most is named."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.report_folder import Folder, Plan
from tests.support.report_page import Page, write


def page_of(root: Path, lost: float) -> Page:
    """Blur takes so much of the accuracy for each strength; nothing else takes anything."""
    folder = Folder(root, Plan(seeds=(0,)))
    lines = []
    for kind, strength in [("none", 0)] + [(k, s) for k in ("noise", "blur") for s in range(1, 6)]:
        change = -lost * strength if kind == "blur" else 0.0
        accuracy = 0.9 + change
        line = {"kind": kind, "strength": strength, "images": 200, "accuracy": accuracy}
        for name, value in (("accuracy", accuracy), ("change", change)):
            line |= {name: value, f"{name}_low": value - 0.02, f"{name}_high": value + 0.02}
        lines.append(line | {"unlike": 0.25 if kind == "blur" else 0.0})
    table = pd.DataFrame(lines)
    table.attrs["model"] = "cnn-seed0/svm"
    table.to_parquet(folder.path("robustness.parquet"))
    return write(folder, ["robustness.svg"], robustness=folder.path("robustness.parquet"))


def test_the_kind_that_costs_most_is_on_the_first_screen(tmp_path: Path) -> None:
    page = page_of(tmp_path, 0.1)
    first = page.text[: page.text.index("more to keep in mind")]
    assert "Of six ways to make test images worse, blur costs most" in first
    assert (
        "the accuracy is 0.600 in the mean and 0.400 at the strongest, where it is 0.900" in first
    )
    assert "Accuracy of cnn-seed0/svm on 200 test images that were made worse" in page.text
    assert "25 % (blur)" in page.text
    assert page.count("svg") == 1 + write(Folder(tmp_path / "b", Plan(seeds=(0,)))).count("svg")


def test_a_loss_within_chance_is_no_caveat(tmp_path: Path) -> None:
    page = page_of(tmp_path, 0.001)
    assert "made worse" in page.text and "costs most" not in page.text


def test_what_was_not_measured_is_not_there(tmp_path: Path) -> None:
    assert "made worse" not in write(Folder(tmp_path, Plan(seeds=(0,)))).text
