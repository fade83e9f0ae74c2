"""Where a data set's files come from: one string in the config, one way for each kind.

====================================  ===========================================================
`bundled:digits`                      scikit-learn's 1,797 handwritten digits, as PNG class folders
a folder                              used where it is, never copied
a local archive                       zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst, by content
`https://…`                           such an archive; `http://` too: with sha256, or from this host
`https://…/{images,labels}.gz`        several files of a page, each with its own sha256
`kaggle:owner/name[@version]`         a data set of Kaggle
`kaggle-competition:name`             the data of a competition of Kaggle
====================================  ===========================================================

`download_source` ends with `data/{dataset}/source.json`. What has to be unpacked lies beside it in
`files/`, and `.receipt.json` says what was verified and how the folder looked then, so that a
rerun (the code changed, source.json is gone) takes what is already there. Nothing is renamed to
`files` before it is whole, and no receipt is written before that.

Images in array files (`darkroom.sources.published`: MNIST's, CIFAR's) become PNG class folders in `files/`,
and the array files are not kept; those of a local folder stay as they are where they are.

A `mirror:` folder is looked into before the network. There an https archive has the name that
its address ends with; a Kaggle data set is `owner__name@version.zip` or `owner/name@version.zip`,
or without `@version` (then `name.zip` will do too) where none is asked for or a sha256 is given;
a competition is `kaggle-competition__name.zip` or `name.zip`; other suffixes of archives will do.

Only the standard library is imported here: `kind`, `local_input`, `tree_digest` and `listing` are
called while the Snakefile is read.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.sources import arrays, formats, published, unpack
from darkroom.sources.addresses import KAGGLE, addresses, kind, local_path, mirror_names
from darkroom.sources.folders import files, refuse_own, survey, walk
from darkroom.sources.names import stem

__all__ = ["download_source", "kind", "listing", "local_input", "mirror_names", "tree_digest"]

log = logging.getLogger(__name__)

# Beside archives and arrays, what several files of one page may be.
PLAIN = re.compile(r"\.(csv|tsv|txt)$", re.I)

# ---------------------------------------------------------------- read with the Snakefile


def local_input(source: str) -> str | None:
    """Path of a local archive, to be declared as a rule's input; None for other kinds."""
    return str(local_path(source)) if kind(source) == "archive" else None


def tree_digest(source: str) -> str | None:
    """Digest of a folder's listing: sorted paths, sizes and modification times.

    Hidden files and the litter of file managers do not count. Links are followed.

    Returns
    -------
    64 hexadecimal digits; None for a source that is no folder.

    Raises
    ------
    UserError
        The folder is empty, cannot be read, or is where the results go.
    """
    if kind(source) != "folder":
        return None
    return survey(_folder(source))[0]


def listing(source: str, limit: int = 200_000) -> list[str] | None:
    """Relative paths of the files that a source holds, sorted, without unpacking anything.

    Returns
    -------
    None where it would take a download or too long, or where the files are no images yet:
    bundled and remote sources, more than `limit` files, compressed tarballs beyond 10 MB,
    archives in archives, images in array files.
    """
    what = kind(source)
    paths: list[str] = []
    if what == "archive":
        paths = unpack.listing(str(local_path(source)), limit) or []
    elif what == "folder":
        for path, _, _ in files(_folder(source)):
            if len(paths) >= limit:
                return None
            paths.append(path)
    return sorted(paths) if paths and not published.claimed(paths) else None


def _folder(source: str) -> str:
    path = local_path(source).absolute()
    refuse_own(path, f"source {source!r}", "images")
    return str(path)


# ---------------------------------------------------------------- the download stage


def download_source(output: str, *, cfg: dict[str, Any], mirror: str | None = None) -> None:
    """Bring a data set's files to the folder of `output`, and say there what and where they are.

    Parameters
    ----------
    output : `data/{dataset}/source.json`.
    cfg : `dataset`, `source`, `sha256` (a list for several files), `license`, `limits` (`max_gb`,
        `max_files`), `root` (`layout.root`, which chooses one of several data sets of array
        files) and `tree` (`tree_digest` of a folder when the Snakefile was read, or None).
    mirror : folder looked into before the network.

    Raises
    ------
    UserError
        One sentence for each thing that a person can mend.
    """
    what = kind(cfg["source"])
    if what in ("folder", "bundled") and cfg.get("sha256"):
        raise UserError(
            f"datasets.{cfg['dataset']}.sha256 is checked for archives, and source"
            f" {cfg['source']!r} is none: leave it out"
        )
    place = _Place(output, cfg, mirror)
    told = place.use_folder() if what == "folder" else place.bring(what)
    found = {**told, "license": told["license"] or cfg.get("license")}
    disk.write_json(output, found)
    log.info(
        "%s: %s files, %s in %s",
        cfg["dataset"],
        f"{found['files']:,}",
        disk.size_text(found["bytes"]),
        found["root"],
    )


class _Place:
    """`data/{dataset}`: what is there already, and how new files get there whole."""

    def __init__(self, output: str, cfg: dict[str, Any], mirror: str | None) -> None:
        self.cfg, self.source, self.mirror = cfg, str(cfg["source"]), mirror
        self.addresses = addresses(self.source)
        self.sha256 = _digests(cfg, len(self.addresses))
        self.chosen: str | None = cfg.get("root")
        self.folder = Path(output).parent
        self.root = self.folder / "files"
        self.partial = self.folder / ".files.partial"
        self.written = self.folder / ".files.written"
        self.old = self.folder / ".files.old"
        self.receipt = str(self.folder / ".receipt.json")
        self.incoming = self.folder / ".download"

    def use_folder(self) -> dict[str, Any]:
        """Take a local folder where it is; only images in array files are written out here."""
        root = _folder(self.source)
        digest, rows = survey(root)
        if self.cfg.get("tree") not in (None, digest):
            log.warning("%s changed while this run began: it is taken as it is now", root)
        paths = [path for path, _, _ in rows]
        if published.claimed(paths):
            self._clear()
            self.sha256 = [digest]
            there = self._already_there("folder")
            if there is not None:
                return there
            found = published.find(root, paths, chosen=self.chosen)
            if found is not None:
                images = self._write(found, self.partial)
                return self._install(images, {"sha256": digest, "written_from": found.sentence})
        note = str(self.folder / ".folder.json")
        old = disk.read_json(note)
        told: dict[str, Any] = {
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
        if {**old, "retrieved": None} == {**told, "retrieved": None}:
            return old  # nothing is new: not even the date, so that nothing after this runs again
        disk.write_json(note, told)
        return told

    def bring(self, what: str) -> dict[str, Any]:
        """Reuse what a receipt vouches for, or get and unpack it; returns source.json's content."""
        self._clear()
        there = self._already_there(what)
        if there is not None:
            shutil.rmtree(self.incoming, ignore_errors=True)
            return there
        self._check_mirror(what)
        if what == "bundled":
            return self._install(*_write_digits(self.partial))
        if what == "archive":
            path = local_path(self.source)
            mark = _mark(path)  # before reading: a change meanwhile is noticed by the next run
            told = {"archive": path.name, "sha256": self._verified(path, self.sha256[0])}
            return self._install(*self._unpack([(path, told)]), mark)
        return self._remote(what)

    def _clear(self) -> None:
        """Remove halves of what an earlier run was at when it was stopped."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.partial, self.written, self.old):
            shutil.rmtree(path, ignore_errors=True)

    # -- what is there

    def _already_there(self, what: str) -> dict[str, Any] | None:
        note = disk.read_json(self.receipt)
        told: dict[str, Any] = note.get("told") or {}
        if told.get("source") != self.source:
            return None
        digests = told.get("sha256")
        have = digests if isinstance(digests, list) else [digests]
        if any(w not in (None, h) for w, h in zip(self.sha256, have, strict=True)):
            return None
        if not self.root.is_dir() or _tree(self.root) != note.get("tree"):
            log.info("%s was changed since it was unpacked: once more", self.root)
            return None
        if what == "archive":
            path = local_path(self.source)
            mark = _mark(path)
            if mark != note.get("mark"):
                if self._verified(path, self.sha256[0]) != told.get("sha256"):
                    return None
                disk.write_json(self.receipt, {**note, "mark": mark})
        if note.get("arrays") != self._arrays() and (
            told.get("written_from") or published.claimed(p for p, _ in walk(str(self.root)))
        ):
            return None
        log.info("%s is there already, as it was verified", self.root)
        return {**told, "root": str(self.root)}

    def _arrays(self) -> list[Any]:
        """What decides how array files are written out, besides the files."""
        return [arrays.VERSION, self.chosen]

    # -- how it gets there

    def _install(
        self,
        unpacked: unpack.Unpacked,
        told: dict[str, Any],
        mark: dict[str, int] | None = None,
    ) -> dict[str, Any]:
        """Rename the whole folder into place, then vouch for it."""
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
            **told,
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
            self.root.rename(self.old)
        self.partial.rename(self.root)
        disk.write_json(self.receipt, note)
        for path in (self.old, self.incoming):
            shutil.rmtree(path, ignore_errors=True)
        return content

    def _unpack(
        self, got: list[tuple[Path, dict[str, Any]]]
    ) -> tuple[unpack.Unpacked, dict[str, Any]]:
        """Unpack each file that was got, and write out the images of array files.

        Returns
        -------
        Counts, and what source.json says of the files.
        """
        done = unpack.Unpacked(0, 0, {})
        for path, told in got:
            one = self._place(path, str(told["archive"]), done, alone=len(got) == 1)
            skipped = Counter(done.skipped) + Counter(one.skipped)
            done = unpack.Unpacked(done.files + one.files, done.bytes + one.bytes, dict(skipped))
        several = {key: [told[key] for _, told in got] for key in ("archive", "sha256")}
        said = got[0][1] if len(got) == 1 else several
        there = [path for path, _ in walk(str(self.partial))]
        found = published.find(str(self.partial), there, chosen=self.chosen)
        if found is None:
            return done, said
        images = self._write(found, self.written)
        shutil.rmtree(self.partial)
        self.written.rename(self.partial)
        done = unpack.Unpacked(images.files, images.bytes, done.skipped)
        return done, {**said, "written_from": found.sentence}

    def _place(
        self, path: Path, name: str, done: unpack.Unpacked, *, alone: bool
    ) -> unpack.Unpacked:
        """Unpack one file; of several, each archive into a folder of its name."""
        target = self.partial
        max_bytes, max_files = self._limits()
        if not alone:
            packed = formats.recognise(str(path))
            plain = published.is_array_file(name) or PLAIN.search(name)
            if packed is None and plain and not formats.is_web_page(str(path)):
                target.mkdir(exist_ok=True)
                with disk.full_disc_in_words(str(self.folder)):
                    shutil.copyfile(path, target / name)
                return unpack.Unpacked(1, path.stat().st_size, {})
            if packed == "zip" or (packed and packed.startswith("tar")):
                target = target / stem(name)
        return unpack.unpack(
            str(path),
            str(target),
            max_bytes=max_bytes - done.bytes,
            max_files=max_files - done.files,
            name=name,
        )

    def _write(self, found: arrays.Arrays, target: Path) -> unpack.Unpacked:
        log.info("%s", found.sentence)
        max_bytes, max_files = self._limits()
        inside = target / (self.chosen or "")
        return arrays.write(found, str(inside), max_bytes=max_bytes, max_files=max_files)

    def _limits(self) -> tuple[int, int]:
        limits = self.cfg["limits"]
        return int(limits["max_gb"] * 1e9), int(limits["max_files"])

    def _verified(self, path: Path, sha256: str | None) -> str:
        from darkroom.sources import http

        found = http.sha256_of(str(path), f"Verifying {path.name}")
        if sha256 not in (None, found):
            raise http.mismatch(
                str(path), str(sha256), found, "put the right file there, or correct sha256"
            )
        return found

    def _remote(self, what: str) -> dict[str, Any]:
        got = [
            self._one(what, address, self.sha256[i], f"-{i + 1}" if i else "")
            for i, address in enumerate(self.addresses)
        ]
        if None in self.sha256:
            found = [told["sha256"] for _, told in got]
            log.info(
                "to have it checked from now on, put sha256: %s under datasets: %s in the config",
                found[0] if len(found) == 1 else f"[{', '.join(found)}]",
                self.cfg["dataset"],
            )
        try:
            unpacked, told = self._unpack(got)
        except formats.Damaged:
            shutil.rmtree(self.incoming, ignore_errors=True)  # else it would be taken again
            raise
        return self._install(unpacked, told)

    def _one(
        self, what: str, address: str, sha256: str | None, slot: str
    ) -> tuple[Path, dict[str, Any]]:
        """One remote file, from the mirror or the network, and what is told of it."""
        names = mirror_names(address, has_sha256=sha256 is not None)
        thing = "the archive" if len(self.addresses) == 1 else "the file"
        hint = (
            f"put {thing} into the mirror {self.mirror} as {names[0]}"
            if self.mirror
            else f"put {thing} as {names[0]} into a folder and name that folder as mirror"
            " in the config"
        )
        found = self._in_mirror(names)
        if found is not None:
            match = KAGGLE.match(address)
            told = {
                "sha256": self._verified(found, sha256),
                "archive": found.name,
                "version": match[3] if match else None,
            }
            log.info("%s is taken from the mirror: %s", address, found)
            return found, told
        path = str(self.incoming / f"archive{slot}")
        if what == "https":
            return self._https(address, sha256, path, names[0], hint)
        return self._kaggle(path, hint)

    def _https(
        self, address: str, sha256: str | None, path: str, name: str, hint: str
    ) -> tuple[Path, dict[str, Any]]:
        from darkroom.sources import http

        host = urlsplit(address).netloc
        session = http.session()

        def opened(headers: dict[str, str]) -> Any:
            response = session.get(address, headers=headers, stream=True)
            for step in (*response.history, response):
                self._check_secure(step.url, sha256)
            return response

        def explain(status: int, text: str) -> UserError:
            said = f" ({text})" if text else ""
            if status in (401, 403):
                return UserError(
                    f"{host} refuses {name} ({status}){said}: put a login for {host} into"
                    f" ~/.netrc; or {hint}"
                )
            if status in (404, 410):
                return UserError(
                    f"{host} has no {name} ({status}){said}: correct source in the config; or"
                    f" {hint}"
                )
            return UserError(f"{host} answers status {status} for {name}{said}; {hint}")

        self._check_secure(address, sha256)
        with session:
            got = http.fetch(
                opened,
                path,
                key=address,
                name=name,
                patience=http.Patience(host, hint),
                explain=explain,
                sha256=sha256,
            )
        told = {"archive": name, "sha256": got.sha256, "version": got.version}
        return Path(got.path), told

    def _check_secure(self, url: str, sha256: str | None) -> None:
        """Plain http can be changed on the way: it takes a sha256, or this very machine."""
        from darkroom.sources import http

        plain = url.lower().startswith("http:") and not http.is_loopback(url)
        if plain and sha256 is None:
            raise UserError(
                f"source {self.source!r} comes over http, where it can be changed on the way:"
                " use https, or give its sha256"
            )

    def _kaggle(self, path: str, hint: str) -> tuple[Path, dict[str, Any]]:
        from darkroom.sources import kaggle

        match = KAGGLE.match(self.source)
        if match:
            wanted = kaggle.Wanted(
                self.source, match[1], match[2], int(match[3]) if match[3] else None
            )
        else:
            name = self.source.partition(":")[2]
            wanted = kaggle.Wanted(self.source, None, name, None)
        got = kaggle.download(
            wanted,
            path,
            sha256=self.sha256[0],
            hint=hint,
        )
        return Path(got.file.path), {
            "archive": f"{wanted.name}.zip",
            "sha256": got.file.sha256,
            "version": got.version,
            "license": got.license,
        }

    # -- the mirror

    def _check_mirror(self, what: str) -> None:
        if not self.mirror or what in ("bundled", "archive"):
            return
        folder = local_path(self.mirror).absolute()
        if not folder.is_dir():
            raise UserError(
                f"mirror is {self.mirror!r}: there is no such folder (looked for {folder})"
            )

    def _in_mirror(self, names: list[str]) -> Path | None:
        if not self.mirror:
            return None
        for name in names:
            path = local_path(self.mirror) / name
            if path.is_file():
                return path
        return None


def _digests(cfg: dict[str, Any], count: int) -> list[str | None]:
    """The expected sha256 of each file of a source, lower-case; None where none is given."""
    given = cfg.get("sha256") or None
    if given is None:
        return [None] * count
    each = [given] if isinstance(given, str) else list(given)
    if len(each) != count:
        raise UserError(
            f"datasets.{cfg['dataset']}.sha256 has {len(each)} entries, and the source names"
            f" {count} files: give a list of one for each file, in the same order"
        )
    return [digest.lower() for digest in each]


def _mark(path: Path) -> dict[str, int]:
    """What tells that a local archive is still the one that was read."""
    now = path.stat()
    return {"size": now.st_size, "mtime_ns": now.st_mtime_ns}


def _tree(root: Path) -> str | None:
    """Digest of an unpacked folder's listing; None where it cannot be told."""
    try:
        return survey(str(root))[0]
    except UserError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- bundled data


def _write_digits(target: Path) -> tuple[unpack.Unpacked, dict[str, Any]]:
    """scikit-learn's digits as PNG class folders: 8×8 grey, 0..16 stretched to 0..255.

    The test part of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998, doi:10.24432/C50P49: every file's name is its number
    there.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    size = 0
    with disk.full_disc_in_words(str(target.parent)):
        for label in digits.target_names:
            (target / str(label)).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
            path = target / str(label) / f"{number:04d}.png"
            Image.fromarray(image).save(path)
            size += path.stat().st_size
    digest = hashlib.sha256(pixels.tobytes() + digits.target.astype("<i8").tobytes())
    told = {
        "version": "1998-07-01",
        "sha256": digest.hexdigest(),
        "license": "CC BY 4.0, Alpaydin and Kaynak (1998), doi:10.24432/C50P49",
    }
    return unpack.Unpacked(len(pixels), size, {}), told
