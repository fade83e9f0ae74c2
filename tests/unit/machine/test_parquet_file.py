"""Reading Parquet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from darkroom.machine import parquet_file


def test_a_table_is_that_of_pandas(tmp_path: Path) -> None:
    table = pd.DataFrame({"row": [0, 1], "name": ["a", None], "score": [0.5, float("nan")]})
    table.attrs["notice"] = "for research"
    path = tmp_path / "a.parquet"
    table.to_parquet(path, index=False)
    theirs, ours = pd.read_parquet(path), parquet_file.frame(path)
    pd.testing.assert_frame_equal(ours, theirs)
    assert ours.attrs == theirs.attrs == {"notice": "for research"}
    assert parquet_file.read(path, ["score", "row"]).column_names == ["score", "row"]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no table")
    with pytest.raises(ValueError, match="Parquet"):
        parquet_file.read(tmp_path / "a.parquet")
    with pytest.raises(FileNotFoundError):
        parquet_file.read(tmp_path / "b.parquet")


def test_it_starts_fast(tmp_path: Path) -> None:
    pd.DataFrame({"row": [0]}).to_parquet(tmp_path / "a.parquet")
    look = (
        "import sys; from darkroom.machine import parquet_file; parquet_file.frame(sys.argv[1]); "
        "print('pyarrow.dataset' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, str(tmp_path / "a.parquet")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
