"""Unpack untrusted archives safely.

For every format, zip or tar, plain or compressed:

- Only regular files are written, each below the target: a leading `/` or drive letter is
  dropped, `\\` separates like `/`, and a path that leaves the target by `..` is an error.
- No link is created from an archive's entry. A link to a file within the archive becomes
  that file (a hard link, or a copy); a link to a folder, out of the archive or to nothing is
  left out and counted. Devices, pipes and sockets are left out and counted.
- Limits apply to the bytes and files written, not to the sizes in headers.
- Owners, modes and times in the archive are ignored.
- Names: UTF-8 where the bytes are UTF-8; otherwise cp437 in a zip (the format's rule) and `%XX` for
  each invalid byte in a tar; control characters become `_`; a name beyond 255 bytes is
  shortened with a digest. Of equal names the last one is kept, as by unzip and tar.
- macOS and Windows litter (`__MACOSX`, `.DS_Store`, `._*`, `Thumbs.db`, `desktop.ini`) is left out.
- Nested archives, by name and content, are unpacked in place: `a/train.zip` becomes the folder
  `a/train`, within the same limits, to a depth of 3.

`tarfile`'s data filter protects `extractall` similarly; it is not used, since it creates links and
has no limits.
"""

# Paths are strings here: there may be millions of them.
# ruff: noqa: PTH103, PTH104, PTH107, PTH112, PTH113, PTH118, PTH119, PTH120, PTH123, PTH202
from __future__ import annotations

import errno
import logging
import os
import posixpath
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.sources import formats
from darkroom.sources.folders import is_junk
from darkroom.sources.formats import DAMAGED, Broken, Damaged, brief, recognise
from darkroom.sources.names import NESTED, safe_name, stem

log = logging.getLogger(__name__)

CHUNK = 1 << 20
DEPTH = 3
# deflate compresses at most 1032 to 1: beyond it an archive repeats or nests itself
BOMB_RATIO, BOMB_BYTES = 1000, 10**9
LISTED = 10**9  # bytes of an unpacked tar that are read for a listing
MOST_OTHERS = 10**6  # entries without a file, such as folders, before the first file
MOST_ENTRIES = 200_000  # of a small zip
SLOW_LISTING = 10 * 10**6  # bytes of a compressed tar, which is listed by reading all of it


@dataclass(frozen=True)
class Unpacked:
    """Counts of files and bytes unpacked, and of entries left out, by reason."""

    files: int
    bytes: int
    skipped: dict[str, int]


def unpack(
    path: str,
    target: str,
    *,
    max_bytes: int,
    max_files: int,
    name: str | None = None,
) -> Unpacked:
    """Unpack an archive into a folder, by the rules of this module.

    Parameters
    ----------
    path : the archive.
    target : empty folder, created if missing; not atomic, so pass one that is renamed afterwards.
    max_bytes : limit on the bytes written, nested archives included.
    max_files : limit on the files written, nested archives included.
    name : name of the archive in messages; None: its file name.

    Raises
    ------
    UserError
        The file is no archive, damaged, truncated, protected by a password or empty; an entry
        leaves the folder; a limit is exceeded; the disk is full.
    """
    name = name or os.path.basename(path)
    os.makedirs(target, exist_ok=True)
    job = _Unpacking(target, name, max_bytes, max_files, os.path.getsize(path))
    with disk.full_disk_in_words(target):
        job.archive(path, "", name, depth=0)
        job.nested_archives()
    if not job.files:
        raise UserError(f"{name} holds no files")
    for reason, first in job.first.items():
        log.warning(
            "%s: left out %d entries, %s (first: %s)",
            name,
            job.skipped[reason],
            reason,
            first,
        )
    return Unpacked(job.files, job.written, dict(sorted(job.skipped.items())))


def listing(path: str, limit: int = 200_000) -> list[str] | None:
    """Sorted paths that unpacking would write, without unpacking.

    Returns
    -------
    None where they are not certain or slow to read: more than `limit` entries, links or nested
    archives, a damaged archive, a compressed tar beyond 10 MB.
    """
    try:
        kind = recognise(path)
        names: set[str] = set()
        if kind == "zip":
            with formats.open_zip(path, limit + 1) as file:
                infos = file.infolist()
                entries: Iterator[tuple[str, str]] = (
                    (name := formats.zip_name(i), formats.zip_type(i, name)) for i in infos
                )
                if len(infos) > limit or not _collect(entries, names, limit):
                    return None
        elif kind is not None and kind.startswith("tar"):
            if kind != "tar" and os.path.getsize(path) > SLOW_LISTING:
                return None
            # of a plain tar the files are passed over
            limit_read = None if kind == "tar" else LISTED
            with formats.open_tar(path, kind, limit=limit_read) as (tar, _):
                if not _collect(formats.tar_entries(tar), names, limit):
                    return None
        else:
            return None
    except (*DAMAGED, Broken, OSError, NotImplementedError, RuntimeError):
        return None
    return sorted(names)


def _collect(entries: Iterator[tuple[str, str]], names: set[str], limit: int) -> bool:
    for count, (raw, kind) in enumerate(entries):
        if count >= limit or kind == "link":
            return False
        clean = safe_name(raw)
        if kind != "file" or clean is None or is_junk(clean):
            continue
        if NESTED.search(clean):
            return False
        names.add(clean)
    return True


@dataclass
class _Unpacking:
    """The unpacking of one archive: target, limits and counts so far."""

    root: str
    name: str
    max_bytes: int
    max_files: int
    packed: int
    files: int = 0
    written: int = 0
    other: int = 0
    streamed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    nested: list[tuple[str, int]] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)

    # -- limits

    def count_bytes(self, n: int) -> None:
        self.written += n
        if self.written > self.max_bytes:
            raise self._too_much(f"{self.max_bytes / 1e9:g} GB", "max_gb")
        if self.written > max(BOMB_BYTES, BOMB_RATIO * self.packed):
            raise UserError(
                f"{self.name} ({disk.size_text(self.packed)}) has unpacked to"
                f" {disk.size_text(self.written)} and continues: it looks like a zip bomb; if it is"
                " not, unpack it yourself and give the folder as source"
            )

    def count_file(self) -> None:
        self.files += 1
        if self.files > self.max_files:
            raise self._too_much(f"{self.max_files:,} files", "max_files")

    def count_other(self) -> None:
        """Count entries that write nothing: they take time too."""
        self.other += 1
        if self.other > min(max(10 * self.max_files, 10_000), MOST_OTHERS + 10 * self.files):
            raise self._too_much(f"{self.max_files:,} files", "max_files")

    def _too_much(self, limit: str, key: str) -> UserError:
        return UserError(
            f"{self.name} unpacks to more than {limit}: if this is intended, raise"
            f" limits: {{{key}: …}} of the data set"
        )

    def skip(self, reason: str, name: str, *, quiet: bool = False) -> None:
        self.count_other()
        self.skipped[reason] += 1
        if not quiet:
            self.first.setdefault(reason, name)

    # -- entries

    def place(self, folder: str, raw: str) -> str | None:
        """Clean relative path of an entry below `folder`; None for litter and empty names."""
        try:
            clean = safe_name(raw)
        except ValueError:
            raise UserError(
                f"{self.name} is not unpacked: its entry {raw!r} leads out of the target folder"
            ) from None
        if clean is None:
            self.count_other()
            return None
        if is_junk(clean):
            self.skip("files of macOS or Windows file managers", clean, quiet=True)
            return None
        return posixpath.join(folder, clean)

    def write(self, relative: str, source: IO[bytes], depth: int) -> None:
        """Write one regular file; of equal names the last one is kept."""
        path = os.path.join(self.root, relative)
        parent = os.path.dirname(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        again = False
        try:
            if parent not in self.folders:
                os.makedirs(parent, exist_ok=True)
                self.folders.add(parent)
            try:
                handle = os.open(path, flags, 0o666)
            except FileExistsError:
                if os.path.isdir(path):
                    raise
                again = True
                handle = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
        except (FileExistsError, NotADirectoryError):
            self.skip("a file and a folder of the same name", relative)
            return
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise Broken(f"the path {relative[:80]}… is too long") from None
            raise
        with open(handle, "wb") as out:
            if again:
                self.skip("replaced by a later entry of the same name", relative)
            else:
                self.count_file()
            while chunk := source.read(CHUNK):
                self.count_bytes(len(chunk))
                out.write(chunk)
        if NESTED.search(relative):
            self.nested.append((relative, depth))

    def link(self, relative: str, target: str) -> None:
        self.count_other()
        if len(self.links) >= self.max_files:
            raise self._too_much(f"{self.max_files:,} files", "max_files")
        self.links[relative] = target

    def settle_links(self) -> None:
        """Replace each link to a file within the archive by that file."""
        for relative, target in self.links.items():
            for _ in range(40):
                if target not in self.links or os.path.lexists(os.path.join(self.root, target)):
                    break
                target = self.links[target]
            path = os.path.join(self.root, relative)
            source = os.path.join(self.root, target)
            if not target:
                self.skip("links out of the archive", relative)
            elif os.path.isdir(source):
                self.skip("links to a folder", relative)
            elif not os.path.isfile(source):
                self.skip("links to nothing", relative)
            elif os.path.lexists(path):
                self.skip("links in place of an existing file", relative)
            else:
                self.count_file()
                self.count_bytes(os.path.getsize(source))
                try:
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    os.link(source, path)
                except (FileExistsError, NotADirectoryError):
                    self.skip("a file and a folder of the same name", relative)
                except OSError:
                    shutil.copyfile(source, path)
        self.links.clear()

    # -- archives

    def archive(self, path: str, folder: str, name: str, depth: int) -> None:
        kind = recognise(path)
        if kind is None:
            raise formats.not_an_archive(path, name)
        try:
            if kind == "zip":
                self._unzip(path, folder, name, depth)
            elif kind.startswith("tar"):
                self._untar(path, kind, folder, name, depth)
            else:
                with formats.decompressed(path, kind) as stream:
                    only = safe_name(stem(os.path.basename(name))) or "file"
                    self.write(posixpath.join(folder, only), stream, depth)
        except Broken as error:
            raise UserError(f"{name} cannot be unpacked: {error}") from None
        except DAMAGED as error:
            raise Damaged(
                f"{name} is damaged or truncated ({brief(error)}): download it again"
            ) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise Damaged(
                f"{name} is damaged or truncated ({brief(error)}): download it again"
            ) from None
        self.settle_links()

    def nested_archives(self) -> None:
        """Unpack the archives within the archive, each into a folder of its name in its place."""
        while self.nested:
            relative, depth = self.nested.pop()
            path = os.path.join(self.root, relative)
            kind = recognise(path)
            if kind is None or not (kind == "zip" or kind.startswith("tar")):
                continue
            if depth + 1 > DEPTH:
                self.skip(f"archives nested deeper than {DEPTH}, not unpacked", relative)
                continue
            folder = stem(relative)
            if os.path.lexists(os.path.join(self.root, folder)):
                folder = relative  # a folder of that name exists: keep the suffix
            packed = f"{path}.packed"
            while os.path.lexists(packed):
                packed += "~"
            os.rename(path, packed)
            self.files -= 1
            self.written -= os.path.getsize(packed)
            self.streamed -= os.path.getsize(packed)
            self.archive(packed, folder, f"{self.name}: {relative}", depth + 1)
            os.remove(packed)

    def _unzip(self, path: str, folder: str, name: str, depth: int) -> None:
        # a nested archive may be much larger than the one that it came in: that has no such table
        with formats.open_zip(path, max(MOST_ENTRIES, self.packed // 10)) as file:
            infos = file.infolist()
            claimed = sum(i.file_size for i in infos)
            if depth == 0 and len(infos) <= self.max_files and claimed <= self.max_bytes:
                disk.require(self.root, claimed, f"unpacking {name}")
            with progress(f"Unpacking {name}", len(infos), "files") as bar:
                for info in infos:
                    bar.update(1)
                    self._unzip_one(file, info, folder, depth)

    def _unzip_one(
        self, file: zipfile.ZipFile, info: zipfile.ZipInfo, folder: str, depth: int
    ) -> None:
        raw = formats.zip_name(info)
        kind = formats.zip_type(info, raw)
        relative = self.place(folder, raw)
        if relative is None:
            return
        if kind == "folder":
            self.count_other()
            return
        if kind == "other":
            self.skip("devices, pipes and sockets", relative)
            return
        try:
            with file.open(info) as source:
                if kind == "link":
                    target = source.read(4096).decode("utf-8", "surrogateescape")
                    self.link(relative, _link_target(relative, folder, target))
                else:
                    self.write(relative, source, depth)
        except (NotImplementedError, RuntimeError) as error:
            if info.flag_bits & 0x1 or "encrypt" in str(error):
                raise Broken(
                    "it is protected by a password: unpack it yourself and give the folder"
                    " as source"
                ) from None
            raise Broken(
                f"{relative} is compressed in a way that Python cannot read ({error}): unpack it"
                " yourself and give the folder as source"
            ) from None
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise EOFError(f"{relative}: {brief(error)}") from None

    def _untar(self, path: str, kind: str, folder: str, name: str, depth: int) -> None:
        total, limit = os.path.getsize(path), self._stream_limit()
        with (
            progress(f"Unpacking {name}", total, "B") as bar,
            formats.open_tar(path, kind, lambda n: bar.update(n), limit) as (
                tar,
                stream,
            ),
        ):
            while (info := tar.next()) is not None:
                tar.members.clear()  # otherwise it grows with the archive
                relative = self.place(folder, info.name)
                if relative is None:
                    continue
                if info.isdir():
                    self.count_other()
                elif info.issym():
                    self.link(relative, _link_target(relative, folder, info.linkname))
                elif info.islnk():
                    self.link(relative, _link_target("", folder, info.linkname))
                elif info.isreg():
                    source = tar.extractfile(info)
                    assert source is not None
                    self.write(relative, source, depth)
                else:
                    self.skip("devices, pipes and sockets", relative)
            if not tar.ended and kind in ("tar", "tar.zst"):
                # the other formats mark their own end
                raise EOFError("the end of the tar is missing")
            while stream.read(CHUNK):
                pass  # read to the checksum at the end
            self.streamed += limit - stream.raw.left  # type: ignore[attr-defined]

    def _stream_limit(self) -> int:
        """Most bytes of a tar: those of files, and of headers, padding and entries left out."""
        most = min(self.max_bytes, max(BOMB_BYTES, BOMB_RATIO * self.packed))
        return max(0, most + BOMB_BYTES - self.streamed)


def _link_target(relative: str, folder: str, target: str) -> str:
    """Target of a link, below the root; empty where it is outside the archive."""
    inside = posixpath.relpath(posixpath.dirname(relative) or ".", folder or ".")
    if target.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", target):
        return ""
    try:
        clean = safe_name(posixpath.join("" if relative == "" else inside, target))
    except ValueError:
        return ""
    return posixpath.join(folder, clean) if clean else ""
