"""Slices in the report: the worst is named on the first screen, and clean data has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.report_folder import Folder, Plan
from tests.support.report_page import Page, write


def page_of(root: Path, missed: float) -> Page:
    """Of the small images a share is missed by every classifier."""
    folder = Folder(root, Plan(per_class=200, test=0.5, seeds=(0,)))
    small = np.arange(folder.n) % 3 == 0
    good = folder.table["row"] < folder.n
    folder.table.loc[good, "width"] = np.where(small, 100, 400)
    folder.table.loc[good, "height"] = 100
    folder.write_manifest()
    told = pd.read_parquet(folder.path("predictions.parquet"))
    wrong = small[told["row"]] & (np.random.default_rng(0).random(len(told)) < missed)
    told.loc[wrong, "predicted"] = ((told["class"] + 1) % 3).astype("int16")
    told.to_parquet(folder.path("predictions.parquet"))
    return write(folder)


def test_the_worst_slice_is_on_the_first_screen(tmp_path: Path) -> None:
    page = page_of(tmp_path, 0.5)
    assert "Worse on some images" in page.text
    assert (
        " of 100 test images with size up to 100 pixels (root of the area) are called rightly"
        in page.text
    )
    assert "brightness above" in page.text


def test_slices_within_chance_are_no_caveat(tmp_path: Path) -> None:
    page = page_of(tmp_path, 0.0)
    assert "size up to 100 pixels" in page.text
    assert "Worse on some images" not in page.text
