"""A manifest and a source.json of a folder, as the index stage writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from darkroom.decode.policy import Policy

POLICY: Policy = {
    "orientation": "apply",
    "sixteen_bit": "scale",
    "palette": "convert",
    "alpha": "white",
    "cmyk": "convert",
    "gray": "convert",
    "animated": "first",
    "wrong_suffix": "accept",
}


def indexed(folder: Path, out: Path, **columns: list[Any]) -> tuple[str, str]:
    """Index all files of class folders; returns the paths of source.json and manifest.

    `columns` replace those of the manifest, `split` or `status`, say.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    labels = [p.parent.name for p in files]
    table: dict[str, Any] = {
        "row": pa.array(range(len(files)), pa.int64()),
        "path": pa.array([str(p.relative_to(folder)) for p in files], pa.string()),
        "label": pa.array(labels, pa.string()),
        "split": pa.array([None] * len(files), pa.string()),
        "bytes": pa.array([p.stat().st_size for p in files], pa.int64()),
        "status": pa.array(["ok"] * len(files), pa.string()),
    }
    table |= {name: pa.array(values, pa.string()) for name, values in columns.items()}
    meta = {"dataset": "tiny", "labels": sorted(set(labels)), "layout": "", "root": str(folder)}
    made = pa.table(table).replace_schema_metadata({"darkroom": json.dumps(meta)})
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, out / "manifest.parquet", row_group_size=7)
    (out / "source.json").write_text(json.dumps({"root": str(folder)}))
    return str(out / "source.json"), str(out / "manifest.parquet")
