"""What is known of a data set before anything runs: by its last index, or by its file names."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.machine import parquet_file
from darkroom.sources import local
from darkroom.sources.addresses import kind, local_path
from darkroom.sources.folders import printable, survey
from darkroom.workflow import remembered
from darkroom.workflow.code import code


def manifest_of(dataset: str, folder: Path) -> Path:
    """The index of a data set, in the folder of a run's results/."""
    return folder / "results" / dataset / "manifest.parquet"


def within_limit(settings: Settings, dataset: str, folder: Path) -> bool:
    """Whether the last index has no more unusable files than are allowed; True where there is none."""
    # Arrow takes a good part of a run with nothing to do: what was counted is remembered.
    manifest = manifest_of(dataset, folder)
    key = by_index(manifest, "unusable", dataset)
    if key is None:
        return True
    counted = remembered.recall(key)
    if counted is None:
        import pyarrow.parquet as parquet

        with parquet.ParquetFile(manifest) as file:
            status = file.read(columns=["status"])["status"]
        counted = [sum(part.to_pylist().count("unusable") for part in status.chunks), len(status)]
        remembered.keep(key, counted)
    unusable, rows = counted
    return bool(unusable <= settings.datasets[dataset].max_unusable * rows)


def by_index(manifest: Path, *of: Any) -> str | None:
    """Key of a fact on the last index, and what else it was found from; None where there is no index."""
    try:
        status = manifest.stat()
    except OSError:
        return None
    return remembered.key(*of, status.st_size, status.st_mtime_ns)


def indexed_rows(manifest: Path) -> Any:
    """The usable rows of the last index, a DataFrame; None where there is none yet."""
    if not manifest.exists():
        return None

    columns = ["path", "label", "group", "split", "sha256", "status", "row"]
    table = parquet_file.read(manifest, columns=columns).to_pandas()
    return table[table["status"] != "unusable"].reset_index(drop=True)


def told_by_index(manifest: Path) -> list[str]:
    """What the last index said of the labels: where they come from, then what looks like a mistake.

    Empty where there is no index, or none that says it.
    """
    key = by_index(manifest, "labels")
    if key is None:
        return []
    found = remembered.recall(key)
    if found is None:
        import pyarrow.parquet as parquet

        meta = json.loads((parquet.read_schema(manifest).metadata or {}).get(b"darkroom", b"{}"))
        found = [meta["layout"], *meta["warnings"]] if "layout" in meta else []
        remembered.keep(key, found)
    return list(found)


@lru_cache(maxsize=64)
def listing_digest(root: str) -> str:
    """Digest of a folder's listing as it was when this run began: several functions ask for it.

    Raises
    ------
    UserError
        The folder is empty, or cannot be read.
    """
    return survey(root)[0]


def told_by_names(settings: Settings, dataset: str) -> list[str]:
    """The same of the files that are there now; empty where only a download would tell.

    Raises
    ------
    UserError
        The names allow two readings, or none.
    """
    source = settings.datasets[dataset].source
    what = kind(source)
    if what not in ("folder", "archive"):
        return []
    now: Any = local.mark(local_path(source)) if what == "archive" else None
    if what == "folder":
        now = listing_digest(str(local.folder(source)))
    cfg = stage_settings(settings, "index_files", {"dataset": dataset})
    key = remembered.key("labels", source, now, cfg["layout"], cfg["group"], code("index_files"))
    found = remembered.recall(key)
    if found is None:
        table = listed_rows(settings, dataset)
        found = [] if table is None else [table.attrs["layout"], *table.attrs["warnings"]]
        remembered.keep(key, found)
    return list(found)


def listed_rows(settings: Settings, dataset: str) -> Any:
    """The rows that the file names tell: a DataFrame of path, label, group, split.

    Its `attrs` have `layout`, where the labels come from, and `warnings` on labels that look like a
    mistake.

    None where only a download would tell, or where the file names alone do not.
    """
    paths = local.listing(settings.datasets[dataset].source)
    if not paths:
        return None
    import pandas

    from darkroom.index import layout

    cfg = stage_settings(settings, "index_files", {"dataset": dataset})
    root = local_path(settings.datasets[dataset].source)

    def open_text(path: str) -> bytes:
        return (root / path).read_bytes()

    try:
        found = layout.recognise(paths, cfg["layout"], group=cfg["group"], open_text=open_text)
    except (FileNotFoundError, NotADirectoryError):  # a table in an archive: the index reads it
        return None
    columns = {name: getattr(found, name) for name in ("path", "label", "group", "split")}
    table = pandas.DataFrame(
        {name: [v and printable(v) for v in values] for name, values in columns.items()}
    )
    table.attrs = {
        "layout": found.sentence,
        "warnings": found.warnings,
    }
    return table
