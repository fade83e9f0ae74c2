"""All predictions of a data set in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.features.predictions import About
from darkroom.machine import parquet_file

if TYPE_CHECKING:
    import pandas as pd


class Collected:
    """The data set's own `predictions.parquet`, written one run after the other.

    Parameters
    ----------
    output : the file to write.
    manifest : `manifest.parquet`, for paths.
    """

    def __init__(self, output: Path, manifest: str) -> None:

        table = parquet_file.read(manifest, columns=["row", "path"])
        self.path = dict(zip(table["row"].to_pylist(), table["path"].to_pylist(), strict=True))
        self.output = output
        self.writer: Any = None
        self.notes: dict[str, None] = {}  # in order, each once

    def __enter__(self) -> Collected:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        return self

    def add(self, table: pd.DataFrame, about: About) -> None:
        """Add the predictions of a run, and its notes where they are new."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        run, n = about["run"], len(table)
        self.notes |= dict.fromkeys(f"{run.classifier}: {note}" for note in about["notes"])
        values = {name: [value] * n for name, value in run._asdict().items()}
        values["path"] = [self.path[row] for row in table["row"]]
        types = {"seed": pa.int64()}
        front = {name: pa.array(v, types.get(name, pa.string())) for name, v in values.items()}
        whole = pa.table({**front, **{c: pa.array(table[c]) for c in table.columns}})
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.output, whole.schema)
        self.writer.write_table(whole.cast(self.writer.schema))

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            notes = json.dumps({"notes": list(self.notes)})
            self.writer.add_key_value_metadata({"darkroom": notes})
            self.writer.close()
