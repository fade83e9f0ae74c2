"""The stage that brings a data set's files to this disk, from one source string in the config.

====================================  ===========================================================
`bundled:digits`                      scikit-learn's 1,797 handwritten digits, as PNG class folders
a folder                              used in place, never copied
a local archive                       zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst, by content
`https://…`                           such an archive; `http://` only with sha256 or from localhost
`https://…/{images,labels}.gz`        several files, each with its own sha256
`kaggle:owner/name[@version]`         a data set of Kaggle
`kaggle-competition:name`             the data of a competition of Kaggle
====================================  ===========================================================

`download_source` writes `data/{dataset}/source.json`, and beside it the unpacked `files/` and
`.receipt.json`: the verified digests and the folder's listing, so that a rerun (changed code, lost
source.json) reuses the files. The folder is renamed to `files` only when complete, and the receipt
is written after that.

Images in array files (`published`: MNIST, CIFAR) become PNG class folders in `files/`; the array
files are not kept, except those of a local folder.

A `mirror:` folder is searched before the network. There an https archive has the last part of its
address as its name; a Kaggle data set is `owner__name@version.zip` or `owner/name@version.zip`, or
without `@version` (also `name.zip`) where the source has no version or a sha256 is given; a
competition is `kaggle-competition__name.zip` or `name.zip`. Other archive suffixes work too.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.sources import arrays, contents, formats, local, mirror, published, unpack
from darkroom.sources.addresses import KAGGLE, addresses, kind, local_path, mirror_names, shown
from darkroom.sources.bundled import write_digits
from darkroom.sources.folders import survey, walk
from darkroom.sources.names import stem

log = logging.getLogger(__name__)

# Files besides archives and arrays in a source of several files.
PLAIN = re.compile(r"\.(csv|tsv|txt)$", re.I)


class Limits(TypedDict):
    """What an archive may unpack to: GB (10^9 bytes), and files."""

    max_gb: float
    max_files: int


class DownloadSource(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    dataset : its name.
    source : one of the forms above, as `addresses.shown` gives it.
    sha256 : of the file; a list for several files; None: unknown.
    limits : what the archives may unpack to.
    root : `layout.root`, which chooses one of several data sets of array files.
    """

    dataset: str
    source: str
    sha256: str | list[str] | None
    limits: Limits
    root: str | None


def download_source(
    output: str, *, cfg: DownloadSource, mirror: str | None = None, address: str | None = None
) -> None:
    """Bring a data set's files to the folder of `output`, and describe them in `output`.

    Parameters
    ----------
    output : `data/{dataset}/source.json`, written.
    cfg : what the stage reads.
    mirror : folder searched before the network; None: none.
    address : the source with its query, which is written nowhere; None: as in `cfg`.

    Raises
    ------
    UserError
        The source cannot be read, downloaded, verified or unpacked.
    """
    address = address or cfg["source"]
    what = kind(address)
    if what in ("folder", "bundled") and cfg["sha256"]:
        raise UserError(
            f"datasets.{cfg['dataset']}.sha256 is only for archives, and source"
            f" {cfg['source']!r} is none: leave it out"
        )
    folder = _DataFolder(output, cfg, mirror, address)
    record = folder.use_folder() if what == "folder" else folder.bring(what)
    disk.write_json(output, record)
    log.info(
        "%s: %s files, %s in %s",
        cfg["dataset"],
        f"{record['files']:,}",
        disk.size_text(record["bytes"]),
        record["root"],
    )


class _DataFolder:
    """The folder `data/{dataset}`: reuses existing files, and installs new ones atomically."""

    def __init__(self, output: str, cfg: DownloadSource, mirror: str | None, address: str) -> None:
        self.cfg, self.source, self.mirror = cfg, shown(address), mirror
        self.addresses = addresses(address)
        self.sha256 = _digests(cfg, len(self.addresses))
        self.chosen = cfg["root"]
        self.folder = Path(output).parent
        self.root = self.folder / "files"
        self.partial = self.folder / ".files.partial"
        self.written = self.folder / ".files.written"
        self.old = self.folder / ".files.old"
        self.receipt = str(self.folder / ".receipt.json")
        self.incoming = self.folder / ".download"

    def use_folder(self) -> dict[str, Any]:
        """Use a local folder in place; only images in array files are written here.

        Returns
        -------
        The content of source.json.
        """
        root = str(local.folder(self.source))
        digest, rows = survey(root)
        self.folder.mkdir(parents=True, exist_ok=True)
        contents.write_listing(self.folder / contents.LISTING, root, digest, rows)
        paths = [path for path, _, _ in rows]
        if published.claimed(paths):
            self._clear()
            self.sha256 = [digest]
            existing = self._existing("folder")
            if existing is not None:
                return existing
            data = published.find(root, paths, chosen=self.chosen)
            if data is not None:
                images = self._write(data, self.partial)
                return self._install(images, {"sha256": digest, "written_from": data.sentence})
        note = str(self.folder / ".folder.json")
        old = disk.read_json(note)
        record: dict[str, Any] = {
            "source": self.source,
            "kind": "folder",
            "root": root,
            "version": None,
            "sha256": digest,
            "license": None,
            "retrieved": _now(),
            "files": len(rows),
            "bytes": sum(size for _, size, _ in rows),
            "archive": None,
        }
        if {**old, "retrieved": None} == {**record, "retrieved": None}:
            return old  # keep the date, so that no later stage reruns
        disk.write_json(note, record)
        return record

    def bring(self, what: str) -> dict[str, Any]:
        """Reuse verified files, or download and unpack them; returns the content of source.json."""
        self._clear()
        existing = self._existing(what)
        if existing is not None:
            shutil.rmtree(self.incoming, ignore_errors=True)
            return existing
        if what == "bundled":
            return self._install(*write_digits(self.partial))
        if what == "archive":
            path = local_path(self.source)
            mark = local.mark(
                path
            )  # before reading, so that the next run notices a change during it
            record = {"archive": path.name, "sha256": self._verified(path, self.sha256[0])}
            return self._install(*self._unpack([(path, record)]), mark)
        return self._remote(what)

    def _clear(self) -> None:
        """Remove incomplete folders of an interrupted run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.partial, self.written, self.old):
            shutil.rmtree(path, ignore_errors=True)

    # -- existing files

    def _existing(self, what: str) -> dict[str, Any] | None:
        """Content of source.json for files that an earlier run verified, else None."""
        note = disk.read_json(self.receipt)
        record: dict[str, Any] = note.get("told") or {}
        if record.get("source") != self.source:
            return None
        digests = record.get("sha256")
        actual = digests if isinstance(digests, list) else [digests]
        if any(e not in (None, a) for e, a in zip(self.sha256, actual, strict=True)):
            return None
        if not self.root.is_dir() or _tree(self.root) != note.get("tree"):
            log.info("%s was changed since it was unpacked: it is unpacked again", self.root)
            return None
        if what == "archive":
            path = local_path(self.source)
            mark = local.mark(path)
            if mark != note.get("mark"):
                if self._verified(path, self.sha256[0]) != record.get("sha256"):
                    return None
                disk.write_json(self.receipt, {**note, "mark": mark})
        if note.get("arrays") != self._arrays() and (
            record.get("written_from") or published.claimed(p for p, _ in walk(str(self.root)))
        ):
            return None
        log.info("%s exists and was verified before", self.root)
        return {**record, "root": str(self.root)}

    def _arrays(self) -> list[Any]:
        """What determines the images written from array files, besides the files."""
        return [arrays.VERSION, self.chosen]

    # -- new files

    def _install(
        self,
        unpacked: unpack.Unpacked,
        record: dict[str, Any],
        mark: dict[str, int] | None = None,
    ) -> dict[str, Any]:
        """Rename the complete folder into place, then write the receipt."""
        content = {
            "source": self.source,
            "kind": kind(self.source),
            "root": str(self.root),
            "version": None,
            "sha256": None,
            "license": None,
            "retrieved": _now(),
            "files": unpacked.files,
            "bytes": unpacked.bytes,
            "archive": None,
            **record,
        }
        if unpacked.skipped:
            content["skipped"] = unpacked.skipped
        note = {
            "told": content,
            "tree": _tree(self.partial),
            "mark": mark,
            "arrays": self._arrays(),
        }
        if self.root.is_dir():
            shutil.move(self.root, self.old)
        shutil.move(self.partial, self.root)
        disk.write_json(self.receipt, note)
        for path in (self.old, self.incoming):
            shutil.rmtree(path, ignore_errors=True)
        return content

    def _unpack(
        self, downloads: list[tuple[Path, dict[str, Any]]]
    ) -> tuple[unpack.Unpacked, dict[str, Any]]:
        """Unpack each file, and write the images of array files.

        Returns
        -------
        Counts, and the entries of source.json for the files.
        """
        done = unpack.Unpacked(0, 0, {})
        for path, record in downloads:
            new = self._place(path, str(record["archive"]), done, alone=len(downloads) == 1)
            skipped = Counter(done.skipped) + Counter(new.skipped)
            done = unpack.Unpacked(done.files + new.files, done.bytes + new.bytes, dict(skipped))
        several = {key: [record[key] for _, record in downloads] for key in ("archive", "sha256")}
        entries = downloads[0][1] if len(downloads) == 1 else several
        paths = [path for path, _ in walk(str(self.partial))]
        data = published.find(str(self.partial), paths, chosen=self.chosen)
        if data is None:
            return done, entries
        images = self._write(data, self.written)
        shutil.rmtree(self.partial)
        shutil.move(self.written, self.partial)
        done = unpack.Unpacked(images.files, images.bytes, done.skipped)
        return done, {**entries, "written_from": data.sentence}

    def _place(
        self, path: Path, name: str, done: unpack.Unpacked, *, alone: bool
    ) -> unpack.Unpacked:
        """Unpack one file; of several, each archive into a folder of its name."""
        target = self.partial
        max_bytes, max_files = self._limits()
        kept = published.is_packed(name)  # an .npz is a zip, but one file
        packed = None if kept else formats.recognise(str(path))
        plain = not alone and (published.is_array_file(name) or PLAIN.search(name))
        if packed is None and (kept or plain) and not formats.is_web_page(str(path)):
            target.mkdir(exist_ok=True)
            with disk.full_disk_in_words(str(self.folder)):
                shutil.copyfile(path, target / name)
            return unpack.Unpacked(1, path.stat().st_size, {})
        if not alone and (packed == "zip" or (packed and packed.startswith("tar"))):
            target = target / stem(name)
        return unpack.unpack(
            str(path),
            str(target),
            max_bytes=max_bytes - done.bytes,
            max_files=max_files - done.files,
            name=name,
        )

    def _write(self, data: arrays.Arrays, target: Path) -> unpack.Unpacked:
        log.info("%s", data.sentence)
        max_bytes, max_files = self._limits()
        inside = target / (self.chosen or "")
        return arrays.write(data, str(inside), max_bytes=max_bytes, max_files=max_files)

    def _limits(self) -> tuple[int, int]:
        limits = self.cfg["limits"]
        return int(limits["max_gb"] * 1e9), int(limits["max_files"])

    def _verified(self, path: Path, sha256: str | None) -> str:
        from darkroom.sources import transfer

        actual = transfer.sha256_of(str(path), f"Verifying {path.name}")
        if sha256 not in (None, actual):
            raise transfer.mismatch(
                str(path), str(sha256), actual, "put the right file there, or correct sha256"
            )
        return actual

    def _remote(self, what: str) -> dict[str, Any]:
        downloads = [
            self._fetch(what, address, self.sha256[i], f"-{i + 1}" if i else "")
            for i, address in enumerate(self.addresses)
        ]
        if None in self.sha256:
            digests = [record["sha256"] for _, record in downloads]
            log.info(
                "to verify it in later runs, put sha256: %s under datasets: %s in the config",
                digests[0] if len(digests) == 1 else f"[{', '.join(digests)}]",
                self.cfg["dataset"],
            )
        try:
            unpacked, record = self._unpack(downloads)
        except formats.Damaged:
            # Otherwise the next run would reuse it.
            shutil.rmtree(self.incoming, ignore_errors=True)
            raise
        return self._install(unpacked, record)

    def _fetch(
        self, what: str, address: str, sha256: str | None, slot: str
    ) -> tuple[Path, dict[str, Any]]:
        """Get one remote file from the mirror or the network, and its entries of source.json."""
        names = mirror_names(address, has_sha256=sha256 is not None)
        what_it_is = "the archive" if len(self.addresses) == 1 else "the file"
        hint = mirror.hint(self.mirror, names[0], what_it_is)
        existing = mirror.find(self.mirror, names)
        if existing is not None:
            match = KAGGLE.match(address)
            record = {
                "sha256": self._verified(existing, sha256),
                "archive": existing.name,
                "version": match[3] if match else None,
            }
            log.info("%s: using %s of the mirror", shown(address), existing)
            return existing, record
        path = str(self.incoming / f"archive{slot}")
        on_mirror = mirror.served(self.mirror, names)
        if on_mirror is not None:
            place, record = self._https(on_mirror.address, sha256, path, on_mirror.name, hint)
            match = KAGGLE.match(address)
            version = match[3] if match else None
            name = on_mirror.name.rpartition("/")[2]
            return place, record | {"archive": name, "version": version}
        if what == "https":
            return self._https(address, sha256, path, names[0], hint)
        return self._kaggle(path, hint)

    def _https(
        self, address: str, sha256: str | None, path: str, name: str, hint: str
    ) -> tuple[Path, dict[str, Any]]:
        from darkroom.sources import transfer

        host = urlsplit(address).netloc

        def explain(status: int, text: str) -> UserError:
            reason = f" ({text})" if text else ""
            if status in (401, 403):
                return UserError(
                    f"{host} refuses {name} ({status}){reason}: put a login for {host} into"
                    f" ~/.netrc; or {hint}"
                )
            if status in (404, 410):
                return UserError(
                    f"{host} has no {name} ({status}){reason}: correct source in the config; or"
                    f" {hint}"
                )
            return UserError(f"{host} answers status {status} for {name}{reason}; {hint}")

        fetched = transfer.get(
            address,
            path,
            name=name,
            setting="source",
            hint=hint,
            most=self._limits()[0],
            sha256=sha256,
            explain=explain,
        )
        record = {"archive": name, "sha256": fetched.sha256, "version": fetched.version}
        return Path(fetched.path), record

    def _kaggle(self, path: str, hint: str) -> tuple[Path, dict[str, Any]]:
        from darkroom.sources import kaggle

        match = KAGGLE.match(self.source)
        if match:
            item = kaggle.Item(self.source, match[1], match[2], int(match[3]) if match[3] else None)
        else:
            name = self.source.partition(":")[2]
            item = kaggle.Item(self.source, None, name, None)
        download = kaggle.download(
            item,
            path,
            sha256=self.sha256[0],
            hint=hint,
            most=self._limits()[0],
        )
        return Path(download.file.path), {
            "archive": f"{item.name}.zip",
            "sha256": download.file.sha256,
            "version": download.version,
            "license": download.license,
        }


def _digests(cfg: DownloadSource, count: int) -> list[str | None]:
    """The expected sha256 of each file of a source, in lower case; None where none is given."""
    sha256 = cfg["sha256"]
    if not sha256:
        return [None] * count
    digests = [sha256] if isinstance(sha256, str) else list(sha256)
    if len(digests) != count:
        raise UserError(
            f"datasets.{cfg['dataset']}.sha256 has {len(digests)} entries, but the source names"
            f" {count} files: give a list with one for each file, in the same order"
        )
    return [digest.lower() for digest in digests]


def _tree(root: Path) -> str | None:
    """Digest of an unpacked folder's listing; None if it is empty or cannot be read."""
    try:
        return survey(str(root))[0]
    except UserError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
