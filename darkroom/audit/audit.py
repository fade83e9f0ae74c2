"""Look for shortcuts: what should not tell the classes, and does."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TypedDict

from darkroom.audit import border, color, header, names, thumbnail
from darkroom.audit.check import Found
from darkroom.audit.probe import judge
from darkroom.audit.sample import draw
from darkroom.machine import disk, parquet_file
from darkroom.machine.progress import progress

log = logging.getLogger(__name__)

CHECKS = (header.CHECK, names.CHECK, border.CHECK, thumbnail.CHECK, color.CHECK)


class AuditDataset(TypedDict):
    """Settings of the stage."""

    dataset: str


def audit_dataset(
    source: str, manifest: str, splits: str, images: str, *, audit: str, cfg: AuditDataset
) -> None:
    """Run every check on a sample of the rows, and write a line each.

    Parameters
    ----------
    source, manifest, splits : as in docs/formats.md.
    images : in the view that the report shows.
    audit : the Parquet file to write; see docs/formats.md. A check that does not apply, or that sees
        no difference between images, has no line.
    cfg : settings.
    """
    sample = draw(manifest, splits, images, source)
    found = []
    with progress(f"{cfg['dataset']}: audit", len(CHECKS), "checks") as bar:
        for check in CHECKS:
            seen = check.find(sample)
            result = None if seen is None else judge(check, seen, sample)
            if result is not None:
                found.append(result)
                log.info(
                    "%s: %s alone: balanced accuracy %.3f (by chance below %.3f)",
                    cfg["dataset"], check.title, result.balanced_accuracy, result.null,
                )  # fmt: skip
            bar.update(1)
    write_audit(audit, found, rows=len(sample.label), of=sample.all)


def write_audit(path: str, found: Sequence[Found], *, rows: int, of: int) -> None:
    """Write a line of each check that found something.

    Parameters
    ----------
    rows, of : rows that were looked at, and those that there are.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([(f.name, kinds[str(f.type)]) for f in fields(Found)])
    about = schema.with_metadata({"darkroom": json.dumps({"rows": rows, "of": of})})
    with disk.whole(path) as part:
        pq.write_table(pa.Table.from_pylist([asdict(f) for f in found], about), part)


def read_audit(path: str) -> tuple[list[Found], dict[str, int]]:
    """What the checks found, and how many of the rows were looked at (`rows`, `of`)."""
    table = parquet_file.read(path)
    about = json.loads((table.schema.metadata or {})[b"darkroom"])
    return [Found(**line) for line in table.to_pylist()], about
