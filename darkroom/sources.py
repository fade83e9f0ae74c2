"""Where a data set's files come from: one string in the config, one way for each kind.

====================================  ===========================================================
`bundled:digits`                      scikit-learn's 1,797 handwritten digits, as PNG class folders
a folder                              used where it is, never copied
a local archive                       zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst, by content
`https://…`                           such an archive; `http://` too: with sha256, or from this host
`kaggle:owner/name[@version]`         a data set of Kaggle
`kaggle-competition:name`             the data of a competition of Kaggle
====================================  ===========================================================

`download` ends with `data/{dataset}/source.json`. What has to be unpacked lies beside it in
`files/`, and `.receipt.json` says what was verified and how the folder looked then, so that a
rerun (the code changed, source.json is gone) takes what is already there. Nothing is renamed to
`files` before it is whole, and no receipt is written before that.

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
import os
import re
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from darkroom import archive, disk
from darkroom.errors import UserError

log = logging.getLogger(__name__)

FORMS = (
    "bundled:digits, a folder, an archive, https://…, kaggle:owner/name[@version],"
    " kaggle-competition:name"
)
PREFIXES = ["bundled", "https", "http", "kaggle", "kaggle-competition"]
SLUG = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
KAGGLE = re.compile(rf"kaggle:({SLUG})/({SLUG})(?:@(\d+))?$")
COMPETITION = re.compile(rf"kaggle-competition:({SLUG})$")
PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")


# ---------------------------------------------------------------- read with the Snakefile


def kind(source: str) -> str:
    """The kind of a source: bundled, folder, archive, https, kaggle or kaggle-competition.

    Raises
    ------
    UserError
        None of these: with the forms there are, and what was probably meant.
    """
    prefix, colon, rest = source.partition(":")
    prefix = prefix.lower() if colon else ""
    if prefix == "bundled":
        if rest != "digits":
            raise _unknown(source, "the one bundled data set is bundled:digits")
        return "bundled"
    if prefix in ("https", "http"):
        _check_address(source)
        return "https"
    if prefix == "kaggle":
        if not KAGGLE.match(source):
            raise _unknown(source, "a Kaggle data set is kaggle:owner/name or …@version")
        return "kaggle"
    if prefix == "kaggle-competition":
        if not COMPETITION.match(source):
            raise _unknown(source, "a competition is kaggle-competition:name")
        return "kaggle-competition"
    path = _path(source)
    if source and path.is_dir():
        return "folder"
    if source and path.is_file():
        return "archive"
    if "://" in source or (prefix and re.match(r"[a-z][a-z-]+$", prefix)):
        import difflib

        close = difflib.get_close_matches(prefix, PREFIXES, n=1, cutoff=0.6)
        raise _unknown(source, f"did you mean {close[0]}:?" if close else "")
    raise UserError(
        f"source {source!r}: there is no such folder or archive (looked for"
        f" {path.absolute()}); a source is one of {FORMS}"
    )


def _path(source: str) -> Path:
    return Path(source).expanduser() if source.startswith("~") else Path(source)


def _unknown(source: str, hint: str) -> UserError:
    hint = f"{hint}; " if hint and not hint.endswith("?") else f"{hint} " if hint else ""
    return UserError(f"source {source!r}: {hint}a source is one of {FORMS}")


def _check_address(source: str) -> None:
    try:
        parts = urlsplit(source)
        host, login = parts.hostname, parts.username or parts.password
        _ = parts.port
    except ValueError:
        host, login = None, None
    if not host:
        raise _unknown(source, "this address names no server")
    if login:
        raise UserError(
            f"source: the address at {host} holds a user name or password, which would end in"
            " logs: take it out and put it in ~/.netrc"
        )
    if re.fullmatch(r"(www\.)?kaggle\.com", host):
        data = re.match(rf"/datasets/({SLUG})/({SLUG})", parts.path)
        game = re.match(rf"/(?:competitions|c)/({SLUG})", parts.path)
        meant = (
            f"kaggle:{data[1]}/{data[2]}"
            if data
            else f"kaggle-competition:{game[1]}"
            if game
            else "kaggle:owner/name or kaggle-competition:name"
        )
        raise UserError(f"source {source!r} is a page of Kaggle: write {meant}")


def local_input(source: str) -> str | None:
    """Path of a local archive, to be declared as a rule's input; None for other kinds."""
    return str(_path(source)) if kind(source) == "archive" else None


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
    return _survey(_folder(source))[0]


def listing(source: str, limit: int = 200_000) -> list[str] | None:
    """Relative paths of the files that a source holds, sorted, without unpacking anything.

    Returns
    -------
    None where it would take a download or too long: bundled and remote sources, more than
    `limit` files, compressed tarballs beyond 10 MB, archives in archives.
    """
    what = kind(source)
    if what == "archive":
        return archive.listing(str(_path(source)), limit)
    if what != "folder":
        return None
    paths: list[str] = []
    for path, _, _ in files(_folder(source)):
        if len(paths) >= limit:
            return None
        paths.append(path)
    return sorted(paths)


def files(root: str) -> Iterator[tuple[str, int, int]]:
    """Walk a folder: relative path with `/`, size in bytes, modification time in ns.

    Hidden files and folders and litter are left out; links to files and folders are followed,
    a folder within itself only once; a link to nothing has size 0 and time 0. The order is not
    defined.

    Raises
    ------
    UserError
        A folder cannot be read.
    """
    todo = [("", frozenset[tuple[int, int]]())]
    while todo:
        folder, above = todo.pop()
        try:
            here = Path(root, folder).stat()
            identity = (here.st_dev, here.st_ino)
            if identity in above:
                continue
            with os.scandir(Path(root, folder)) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.name.startswith(".") or archive.is_junk(path):
                        continue
                    if entry.is_dir():
                        todo.append((path, above | {identity}))
                        continue
                    try:
                        info = entry.stat()
                    except OSError:
                        yield path, 0, 0
                        continue
                    if stat.S_ISREG(info.st_mode):
                        yield path, info.st_size, info.st_mtime_ns
        except OSError as error:
            raise UserError(f"{Path(root, folder)} cannot be read: {error.strerror}") from None


def _folder(source: str) -> str:
    path = _path(source).absolute()
    if Path.cwd().is_relative_to(path.resolve()):
        raise UserError(
            f"source {source!r} is the folder that this runs in, or above it, where results are"
            " written too: give the folder of the images, or run elsewhere (snakemake"
            " --directory)"
        )
    return str(path)


def _survey(root: str) -> tuple[str, int, int]:
    """Digest of a folder's listing, count of files, bytes."""
    rows = sorted(files(root))
    if not rows:
        raise UserError(f"source {root}: the folder holds no files")
    digest = hashlib.sha256()
    for path, size, time in rows:
        digest.update(f"{path}\0{size}\0{time}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), len(rows), sum(size for _, size, _ in rows)


# ---------------------------------------------------------------- the download stage


def download(output: str, *, cfg: dict[str, Any], mirror: str | None = None) -> None:
    """Bring a data set's files to the folder of `output`, and say there what and where they are.

    Parameters
    ----------
    output : `data/{dataset}/source.json`.
    cfg : `dataset`, `source`, `sha256`, `license`, `limits` (`max_gb`, `max_files`) and `tree`
        (`tree_digest` of a folder when the Snakefile was read, or None).
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
    told = _use_folder(output, cfg) if what == "folder" else place.bring(what)
    found = {**told, "license": told["license"] or cfg.get("license")}
    disk.write_json(output, found)
    log.info(
        "%s: %s files, %s in %s",
        cfg["dataset"],
        f"{found['files']:,}",
        disk.size_text(found["bytes"]),
        found["root"],
    )


def _use_folder(output: str, cfg: dict[str, Any]) -> dict[str, Any]:
    root = _folder(cfg["source"])
    digest, count, size = _survey(root)
    if cfg.get("tree") not in (None, digest):
        log.warning("%s changed while this run began: it is taken as it is now", root)
    note = str(Path(output).with_name(".folder.json"))
    old = disk.read_json(note)
    told = {
        "source": cfg["source"],
        "kind": "folder",
        "root": root,
        "version": None,
        "sha256": digest,
        "license": None,
        "retrieved": _now(),
        "files": count,
        "bytes": size,
        "archive": None,
    }
    if {**old, "retrieved": None} == {**told, "retrieved": None}:
        return old  # nothing is new: not even the date, so that nothing after this runs again
    disk.write_json(note, told)
    return told


class _Place:
    """`data/{dataset}`: what is there already, and how new files get there whole."""

    def __init__(self, output: str, cfg: dict[str, Any], mirror: str | None) -> None:
        self.cfg, self.source, self.mirror = cfg, str(cfg["source"]), mirror
        self.sha256: str | None = (cfg.get("sha256") or "").lower() or None
        self.folder = Path(output).parent
        self.root = self.folder / "files"
        self.partial = self.folder / ".files.partial"
        self.old = self.folder / ".files.old"
        self.receipt = str(self.folder / ".receipt.json")
        self.incoming = self.folder / ".download"

    def bring(self, what: str) -> dict[str, Any]:
        """Reuse what a receipt vouches for, or get and unpack it; returns source.json's content."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.partial, self.old):
            shutil.rmtree(path, ignore_errors=True)
        there = self._already_there(what)
        if there is not None:
            shutil.rmtree(self.incoming, ignore_errors=True)
            return there
        self._check_mirror(what)
        if what == "bundled":
            return self._install(*_write_digits(self.partial))
        if what == "archive":
            path = _path(self.source)
            mark = _mark(path)  # before reading: a change meanwhile is noticed by the next run
            told = {"archive": path.name, "sha256": self._verified(path)}
            return self._install(self._unpack(path), told, mark)
        return self._remote(what)

    # -- what is there

    def _already_there(self, what: str) -> dict[str, Any] | None:
        note = disk.read_json(self.receipt)
        told: dict[str, Any] = note.get("told") or {}
        if told.get("source") != self.source:
            return None
        if self.sha256 not in (None, told.get("sha256")):
            return None
        if not self.root.is_dir() or _tree(self.root) != note.get("tree"):
            log.info("%s was changed since it was unpacked: once more", self.root)
            return None
        if what == "archive":
            path = _path(self.source)
            mark = _mark(path)
            if mark != note.get("mark"):
                if self._verified(path) != told.get("sha256"):
                    return None
                disk.write_json(self.receipt, {**note, "mark": mark})
        log.info("%s is there already, as it was verified", self.root)
        return {**told, "root": str(self.root)}

    # -- how it gets there

    def _install(
        self,
        unpacked: archive.Unpacked,
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
        note = {"told": content, "tree": _tree(self.partial), "mark": mark}
        if self.root.is_dir():
            self.root.rename(self.old)
        self.partial.rename(self.root)
        disk.write_json(self.receipt, note)
        for path in (self.old, self.incoming):
            shutil.rmtree(path, ignore_errors=True)
        return content

    def _unpack(self, path: Path, name: str | None = None) -> archive.Unpacked:
        limits = self.cfg["limits"]
        return archive.unpack(
            str(path),
            str(self.partial),
            max_bytes=int(limits["max_gb"] * 1e9),
            max_files=int(limits["max_files"]),
            name=name,
        )

    def _verified(self, path: Path) -> str:
        from darkroom import transfer

        found = transfer.sha256_of(str(path), f"Verifying {path.name}")
        if self.sha256 not in (None, found):
            raise transfer.mismatch(
                str(path), str(self.sha256), found, "put the right file there, or correct sha256"
            )
        return found

    def _remote(self, what: str) -> dict[str, Any]:
        names = mirror_names(self.source, has_sha256=self.sha256 is not None)
        hint = (
            f"put the archive into the mirror {self.mirror} as {names[0]}"
            if self.mirror
            else f"put the archive as {names[0]} into a folder and name that folder as mirror"
            " in the config"
        )
        found = self._in_mirror(names)
        told: dict[str, Any]
        if found is not None:
            told = {"sha256": self._verified(found), "archive": found.name}
            log.info("%s is taken from the mirror: %s", self.source, found)
            match = KAGGLE.match(self.source)
            told["version"] = match[3] if match else None
            path: Path = found
        elif what == "https":
            path, told = self._https(names[0], hint)
        else:
            path, told = self._kaggle(hint)
        if self.sha256 is None:
            log.info(
                "to have it checked from now on, put sha256: %s under datasets: %s in the config",
                told["sha256"],
                self.cfg["dataset"],
            )
        try:
            unpacked = self._unpack(path, told["archive"])
        except archive.Damaged:
            shutil.rmtree(self.incoming, ignore_errors=True)  # else it would be taken again
            raise
        return self._install(unpacked, told)

    def _https(self, name: str, hint: str) -> tuple[Path, dict[str, Any]]:
        from darkroom import transfer

        host = urlsplit(self.source).netloc
        session = transfer.session()

        def opened(headers: dict[str, str]) -> Any:
            response = session.get(self.source, headers=headers, stream=True)
            for step in (*response.history, response):
                self._check_secure(step.url)
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

        self._check_secure(self.source)
        with session:
            got = transfer.fetch(
                opened,
                str(self.incoming / "archive"),
                key=self.source,
                name=name,
                patience=transfer.Patience(host, hint),
                explain=explain,
                sha256=self.sha256,
            )
        told = {"archive": name, "sha256": got.sha256, "version": got.version}
        return Path(got.path), told

    def _check_secure(self, url: str) -> None:
        """Plain http can be changed on the way: it takes a sha256, or this very machine."""
        from darkroom import transfer

        plain = url.lower().startswith("http:") and not transfer.is_loopback(url)
        if plain and self.sha256 is None:
            raise UserError(
                f"source {self.source!r} comes over http, where it can be changed on the way:"
                " use https, or give its sha256"
            )

    def _kaggle(self, hint: str) -> tuple[Path, dict[str, Any]]:
        from darkroom import kaggle_source

        match = KAGGLE.match(self.source)
        if match:
            wanted = kaggle_source.Wanted(
                self.source, match[1], match[2], int(match[3]) if match[3] else None
            )
        else:
            name = self.source.partition(":")[2]
            wanted = kaggle_source.Wanted(self.source, None, name, None)
        got = kaggle_source.download(
            wanted,
            str(self.incoming / "archive"),
            sha256=self.sha256,
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
        folder = _path(self.mirror).absolute()
        if not folder.is_dir():
            raise UserError(
                f"mirror is {self.mirror!r}: there is no such folder (looked for {folder})"
            )

    def _in_mirror(self, names: list[str]) -> Path | None:
        if not self.mirror:
            return None
        for name in names:
            path = _path(self.mirror) / name
            if path.is_file():
                return path
        return None


def mirror_names(source: str, *, has_sha256: bool) -> list[str]:
    """Names under which a mirror may hold a remote source, in the order looked for.

    Parameters
    ----------
    has_sha256 : a digest will tell which version a file without one in its name is.
    """
    match = KAGGLE.match(source)
    if match:
        owner, name, version = match.groups()
        stems = []
        if version:
            stems += [f"{owner}__{name}@{version}", f"{owner}/{name}@{version}"]
        if not version or has_sha256:
            stems += [f"{owner}__{name}", f"{owner}/{name}", name]
    elif COMPETITION.match(source):
        name = source.partition(":")[2]
        stems = [f"kaggle-competition__{name}", name]
    else:
        last = unquote(urlsplit(source).path).rstrip("/")
        try:
            return [(archive.safe_name(last) or "archive").rpartition("/")[2]]
        except ValueError:
            return ["archive"]
    return [stem + suffix for stem in stems for suffix in PACKED]


def _mark(path: Path) -> dict[str, int]:
    """What tells that a local archive is still the one that was read."""
    now = path.stat()
    return {"size": now.st_size, "mtime_ns": now.st_mtime_ns}


def _tree(root: Path) -> str | None:
    """Digest of an unpacked folder's listing; None where it cannot be told."""
    try:
        return _survey(str(root))[0]
    except UserError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- bundled data


def _write_digits(target: Path) -> tuple[archive.Unpacked, dict[str, Any]]:
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
    return archive.Unpacked(len(pixels), size, {}), told
