"""The files that no stage can use: their list, and an end where there are too many."""

from __future__ import annotations

import csv
import logging
import os
from typing import TypedDict

from darkroom.errors import UserError
from darkroom.machine import disk

log = logging.getLogger(__name__)

NAMED = 20  # of the unusable files, in an error


class CheckFiles(TypedDict):
    """What the check reads: the data set's name."""

    dataset: str


def check_files(manifest: str, output: str, *, cfg: CheckFiles, limit: float) -> None:
    """List the unusable files in a CSV, and stop where there are too many.

    Parameters
    ----------
    manifest : manifest.parquet.
    output : the CSV to make: path, label, reason of each unusable file, in the order of path.
    cfg : the settings.
    limit : the fraction of the files that may be unusable.

    Raises
    ------
    UserError
        More than that fraction is unusable (the first files are named; the log has all), no
        file at all is usable, or those that are have fewer than two labels.
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
        writer.writerows(listed)

    lines = [f"  {path}: {reason}" for path, _, reason in listed]
    good = {label for label, no in zip(columns[1], bad, strict=True) if not no}
    share = len(listed) / max(len(bad), 1)
    key = f"datasets.{cfg['dataset']}"
    if len(listed) == len(bad):
        said = f"none of the {len(bad):,} files of {cfg['dataset']} can be used"
        mend = f"check {key}.source and {key}.decode"
    elif share > limit:
        said = (
            f"{len(listed):,} of {len(bad):,} files of {cfg['dataset']} ({share:.1%}) are unusable, "
            f"and {key}.max_unusable allows {limit:.1%}"
        )
        mend = f"mend or remove them, or raise {key}.max_unusable to go on without them"
    elif len(good) < 2:
        said = f"the usable files of {cfg['dataset']} have one label only, {next(iter(good))!r}"
        mend = "at least two classes are needed to tell apart"
    else:
        return
    where = _whole_list_to_file(lines) if len(lines) > NAMED else ""
    shown = lines[:NAMED]
    if len(lines) > NAMED:
        shown.append(f"  … and {len(lines) - NAMED:,} more{where}")
    raise UserError("\n".join([f"{said}: {mend}", *shown]))


def _whole_list_to_file(lines: list[str]) -> str:
    """Write all lines to the log file alone: the terminal gets the first few."""
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
