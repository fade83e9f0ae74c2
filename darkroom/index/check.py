"""List the unusable files, and stop the run where there are too many."""

from __future__ import annotations

import csv
import logging
import os
from typing import TypedDict

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.names import cell

log = logging.getLogger(__name__)

NAMED = 20  # unusable files that an error lists


class CheckFiles(TypedDict):
    """Settings of the stage: the data set's name."""

    dataset: str


def check_files(manifest: str, output: str, *, cfg: CheckFiles, limit: float) -> None:
    """List the unusable files in a CSV, and raise an error where there are too many.

    Parameters
    ----------
    manifest : manifest.parquet.
    output : the CSV to write: path, label and reason of each unusable file, sorted by path.
    cfg : the settings.
    limit : the fraction of the files that may be unusable.

    Raises
    ------
    UserError
        The unusable files exceed `limit`, no file is usable, or the usable files have fewer
        than two labels. The error lists the first unusable files, the log file all of them.
    """
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(manifest) as read:  # `read_table` would import pandas
        table = read.read(columns=["path", "label", "status", "reason"])
    columns = [table[name].to_pylist() for name in ("path", "label", "reason")]
    bad = [s == "unusable" for s in table["status"].to_pylist()]
    listed = [row for row, no in zip(zip(*columns, strict=True), bad, strict=True) if no]
    with disk.whole(output) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "reason"])
        writer.writerows([[cell(value or "") for value in row] for row in listed])

    lines = [f"  {path}: {reason}" for path, _, reason in listed]
    good = {label for label, no in zip(columns[1], bad, strict=True) if not no}
    share = len(listed) / max(len(bad), 1)
    key = f"datasets.{cfg['dataset']}"
    if len(listed) == len(bad):
        problem = f"none of the {len(bad):,} files of {cfg['dataset']} can be used"
        remedy = f"check {key}.source and {key}.decode"
    elif share > limit:
        problem = (
            f"{len(listed):,} of {len(bad):,} files of {cfg['dataset']} ({share:.1%}) are unusable, "
            f"and {key}.max_unusable allows {limit:.1%}"
        )
        remedy = f"repair or remove them, or raise {key}.max_unusable to continue without them"
    elif len(good) < 2:
        problem = f"the usable files of {cfg['dataset']} have one label only, {next(iter(good))!r}"
        remedy = "at least two classes are needed"
    else:
        return
    where = _whole_list_to_file(lines) if len(lines) > NAMED else ""
    shown = lines[:NAMED]
    if len(lines) > NAMED:
        shown.append(f"  … and {len(lines) - NAMED:,} more{where}")
    raise UserError("\n".join([f"{problem}: {remedy}", *shown]))


def _whole_list_to_file(lines: list[str]) -> str:
    """Write all lines to the log file only; returns a phrase that names the file."""
    logger: logging.Logger | None = log
    where = ""
    while logger is not None:
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                record = log.makeRecord(
                    log.name, logging.INFO, __file__, 0, "%s", ("unusable:\n" + "\n".join(lines),), None
                )  # fmt: skip
                handler.handle(record)
                where = f"; all are in {os.path.relpath(handler.baseFilename)}"
        logger = logger.parent if logger.propagate else None
    return where
