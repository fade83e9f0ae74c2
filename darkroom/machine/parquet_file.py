"""Parquet files read without `pyarrow.dataset`, whose import takes a third of a second of CPU in each job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def read(path: str | Path, columns: Sequence[str] | None = None) -> Any:
    """The `pyarrow.Table` of a file.

    Parameters
    ----------
    columns : to read, in this order; None: all.

    Raises
    ------
    OSError, ValueError
        The file is not there, or is no Parquet.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read(None if columns is None else list(columns))


def frame(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """As `read`, a DataFrame with the `attrs` that pandas wrote."""
    table = read(path, columns)
    out: pd.DataFrame = table.to_pandas()
    out.attrs = json.loads((table.schema.metadata or {}).get(b"PANDAS_ATTRS", "{}"))
    return out
