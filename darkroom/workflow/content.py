"""The content of a source on this disk, by which its stages run again or not.

Times alone tell nothing: files are touched, copied again, dated in the future or by another
machine's clock. So a source counts as changed where its content is another than that which
`source.json` was written from.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from darkroom.config.settings import Settings
from darkroom.machine import disk, parquet_file
from darkroom.predict import unseen
from darkroom.sources import contents, local
from darkroom.sources.addresses import kind, local_path, shown
from darkroom.sources.folders import survey
from darkroom.workflow import remembered
from darkroom.workflow.known import by_index, listing_digest, manifest_of

STATES = Path(".snakemake/darkroom-sources")
WEIGHTS = Path(".snakemake/darkroom-weights")


class Content(NamedTuple):
    """Digests of a listing: the present one, and the one that `source.json` was written from.

    They are equal where the content is, whatever the times are.
    """

    now: str
    before: str | None


def content(settings: Settings, dataset: str, folder: Path) -> Content | None:
    """Compare a source with what `source.json` was written from.

    Files with another time are read to find out, once.

    Parameters
    ----------
    settings, dataset : whose source.
    folder : of the run's data/ and results/.

    Returns
    -------
    None for a source that is not on this disk.

    Raises
    ------
    UserError
        The folder is empty, cannot be read, or contains the working folder.
    """
    source = settings.datasets[dataset].source
    what = kind(source)
    if what not in ("folder", "archive"):
        return None
    place = folder / "data" / dataset
    made = disk.read_json(str(place / "source.json"))
    if made.get("source") != shown(source):
        made = {}
    if what == "archive":
        mark = disk.read_json(str(place / ".receipt.json")).get("mark") if made else None
        return _of_archive(local_path(source), mark, made.get("sha256"))
    root = str(local.folder(source))
    now = listing_digest(root)
    before = made.get("sha256")
    if before is None or now == before:
        return Content(now, before)
    manifest = manifest_of(dataset, folder)
    key = by_index(manifest, "same content", root, before, now)
    if key is None or manifest.stat().st_mtime_ns < (place / "source.json").stat().st_mtime_ns:
        return Content(now, before)  # not all images were read since
    alike = remembered.recall(key)
    if alike is None:
        rows = survey(root)[1]
        kept = place / contents.LISTING
        alike = contents.same(kept, root, before, rows, lambda: _hashes(manifest))
        remembered.keep(key, alike)
    return Content(before if alike else now, before)


def state(settings: Settings, dataset: str, folder: Path) -> str | None:
    """A file that is newer than `source.json` where the source has changed, and else older.

    Snakemake compares the digest of a source with the one that it keeps in its own folder.
    Where that folder was lost, the time of this file tells of a change.

    Parameters and returns as of `content`.
    """
    found = content(settings, dataset, folder)
    if found is None:
        return None
    place = STATES / str(folder).strip("/") / dataset
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(found.now, encoding="ascii")
    if found.now == found.before:
        made = (folder / "data" / dataset / "source.json").stat().st_mtime - 1
        os.utime(place, (made, made))
    return str(place)


def weights_state(path: Path, features: str, folder: Path) -> str:
    """A file that is newer than the weights of a backbone where the file that they are from has changed.

    Parameters
    ----------
    path : the file, whose own name and time Snakemake need not bear.
    features : of the backbone.
    folder : of the run's data/ and results/.
    """
    key = remembered.key("file", str(path.absolute()), local.mark(path))
    now = remembered.recall(key)
    if now is None:
        remembered.keep(key, now := contents.sha256_of(path))
    place = WEIGHTS / str(folder).strip("/") / features
    before = place.read_text(encoding="ascii") if place.exists() else None
    if now != before:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(now, encoding="ascii")
        if before is None:
            made = min(path.stat().st_mtime, time.time())
            os.utime(place, (made, made))
    return str(place)


def of_pictures(source: str) -> str:
    """Digest of new pictures: of their names and content, for which they are read once.

    Raises
    ------
    UserError
        There is no such folder or picture, or none in the folder.
    """
    key = remembered.key("pictures", source, unseen.digest(source))
    known = remembered.recall(key)
    if known is None:
        found = unseen.find(source)
        hashes = [_hash(Path(found.root, name)) for name in found.paths]
        remembered.keep(key, known := remembered.key(found.paths, hashes))
    return str(known)


def _hash(path: Path) -> str | None:
    try:
        return contents.sha256_of(path)
    except OSError:  # the prediction's row has the reason
        return None


def _of_archive(path: Path, mark: dict[str, int] | None, sha256: str | None) -> Content:
    now = local.mark(path)
    if mark is None or mark == now:
        return Content(remembered.key(now), remembered.key(mark) if mark else None)
    key = remembered.key("archive", str(path.absolute()), now)
    found = remembered.recall(key)
    if found is None and mark["size"] == now["size"]:
        remembered.keep(key, found := contents.sha256_of(path))
    return Content(remembered.key(mark if found == sha256 else now), remembered.key(mark))


def _hashes(manifest: Path) -> dict[str, str | None]:
    """The sha256 of each image that the index read, by its path."""
    table = parquet_file.read(manifest, columns=["path", "sha256"])
    return dict(zip(table["path"].to_pylist(), table["sha256"].to_pylist(), strict=True))
