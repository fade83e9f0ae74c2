"""Texts of others, in a CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from darkroom.evaluate.tables import write_table
from darkroom.names import cell


@pytest.mark.parametrize(
    ("text", "written"),
    [("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("+1", "'+1"), ("-x", "'-x"), ("@a", "'@a"),
     ("cat", "cat"), ("", ""), ("a=b", "a=b")],
)  # fmt: skip
def test_a_cell_is_no_formula(text: str, written: str) -> None:
    assert cell(text) == written


def test_a_table_of_scores_has_no_formula_for_people_and_the_names_for_programs(
    tmp_path: Path,
) -> None:
    table = pd.DataFrame({"class": ["=1+1", "cat"], "recall": [-0.5, 1.0]})
    write_table(str(tmp_path / "class_metrics.parquet"), table)
    written = (tmp_path / "class_metrics.csv").read_text()
    assert written.splitlines() == ["class,recall", "'=1+1,-0.500000", "cat,1.000000"]
    assert pd.read_parquet(tmp_path / "class_metrics.parquet").equals(table)
