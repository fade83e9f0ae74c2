"""Archives of unknown origin: recognised by content, unpacked safely.

What holds for every format, zip or tar, plain or compressed:

- Only regular files are written, each below the target: a leading `/` or drive letter is
  dropped, `\\` separates as `/` does, and a path that climbs out by `..` stops the work.
- No link is ever made from what an archive says. A link to a file within the archive becomes
  that file (a hard link made by us, or a copy); a link to a folder, out of the archive or to
  nothing is left out and counted. Devices, pipes and sockets are left out and counted.
- Sizes and counts are checked on what is really written, never on what headers claim.
- Owners, modes and times of the archive are ignored: files get the process's own.
- Names: UTF-8 where the bytes are UTF-8; otherwise cp437 in a zip (the format's own rule) and
  `%XX` for each stray byte in a tar; control characters become `_`; a name beyond 255 bytes is
  shortened with a digest. Of equal names the last one counts, as with unzip and tar.
- macOS and Windows litter (`__MACOSX`, `.DS_Store`, `._*`, `Thumbs.db`, `desktop.ini`) stays out.
- Archives in the archive, by name and by content, are unpacked in place: `a/train.zip` becomes
  the folder `a/train`, within the same limits, to a depth of 3.

`tarfile`'s data filter answers the same dangers for `extractall`; it is not used, because
nothing here is extracted by it: it would make links, and has no limits.
"""

# Paths are strings here: there may be millions of them.
# ruff: noqa: PTH103, PTH104, PTH107, PTH112, PTH113, PTH118, PTH119, PTH120, PTH123, PTH202
from __future__ import annotations

import bz2
import codecs
import errno
import gzip
import hashlib
import io
import logging
import lzma
import os
import posixpath
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.sources.folders import is_junk

log = logging.getLogger(__name__)

CHUNK = 1 << 20
DEPTH = 3
# deflate cannot do better than 1032 to 1: beyond it an archive repeats or nests itself
BOMB_RATIO, BOMB_BYTES = 1000, 10**9
PAX_HEADER = 1 << 20
SLOW_LISTING = 10 * 10**6  # bytes of a compressed tarball, which must be read to be listed

NESTED = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tzst|tar\.(gz|bz2|xz|zst))$", re.I)
SUFFIX = re.compile(r"(\.tar)?\.(zip|tar|tgz|tbz2?|txz|tzst|gz|bz2|xz|zst)$", re.I)
MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
_PAGE = re.compile(rb"\s*<(!doctype|html|\?xml|!--)", re.I)
FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar"}
# What the readers of the standard library raise on data that is damaged or made to hurt.
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    ValueError,
    IndexError,
    OverflowError,
    RecursionError,
)


def _percent(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    return "".join(f"%{byte:02X}" for byte in stray), error.end


codecs.register_error("darkroom.percent", _percent)


@dataclass(frozen=True)
class Unpacked:
    """What unpacking gave: counts of files and bytes, and what was left out, by reason."""

    files: int
    bytes: int
    skipped: dict[str, int]


class Damaged(UserError):
    """The archive is not what it should be; another copy of it may be."""


class _Broken(Exception):
    """The archive is damaged, cut short, protected or of a kind that cannot be read."""


# ---------------------------------------------------------------- names


def safe_name(name: str) -> str | None:
    """A path that stays below the folder it is joined to, or None where nothing is left.

    Parameters
    ----------
    name : as the archive has it; undecodable bytes as surrogates (`surrogateescape`).

    Raises
    ------
    ValueError
        The path climbs out of the archive by `..`.
    """
    name = re.sub(r"^[A-Za-z]:(?=/)", "", name.replace("\\", "/"))
    parts: list[str] = []
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise ValueError("a path out of the archive")
            parts.pop()
        else:
            parts.append(_component(part))
    return "/".join(parts) or None


def _component(part: str) -> str:
    if not part.isascii():
        raw = part.encode("utf-8", "surrogateescape" if _escaped(part) else "replace")
        part = raw.decode("utf-8", "darkroom.percent")
    part = re.sub(r"[\x00-\x1f\x7f]", "_", part)
    raw = part.encode()
    if len(raw) > 255:
        digest = hashlib.sha256(raw).hexdigest()[:8]
        suffix = re.search(r"\.[A-Za-z0-9]{1,8}$", part)
        tail = f"~{digest}{suffix[0] if suffix else ''}"
        part = raw[: 255 - len(tail)].decode("utf-8", "ignore") + tail
    return part


def _escaped(part: str) -> bool:
    return all("\udc80" <= c <= "\udcff" for c in part if "\ud800" <= c <= "\udfff")


def stem(name: str) -> str:
    """An archive's name without its suffixes: `train.tar.gz` gives `train`."""
    return SUFFIX.sub("", name) or name


# ---------------------------------------------------------------- recognition


def recognise(path: str) -> str | None:
    """The kind of an archive by its content, whatever its name says.

    Returns
    -------
    `zip`, `tar`, `tar.gz`, `tar.bz2`, `tar.xz`, `tar.zst`, or `gz`, `bz2`, `xz`, `zst` for one
    compressed file that is no tarball; None for anything else.
    """
    with open(path, "rb") as file:
        head = file.read(512)
    kind = next((k for magic, k in MAGIC.items() if head.startswith(magic)), None)
    if kind == "zip":
        return "zip"
    if kind is not None:
        try:
            with _decompressed(path, kind) as stream:
                head = _read_exactly(stream, 512)
        except (*DAMAGED, OSError):
            return kind  # reading it will say what is wrong
        return f"tar.{kind}" if _is_tar(head) else kind
    if _is_tar(head):
        return "tar"
    return "zip" if zipfile.is_zipfile(path) else None  # self-extracting


def _is_tar(head: bytes) -> bool:
    if len(head) == 512 and not any(head):
        return True  # an empty tar
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _read_exactly(stream: IO[bytes], n: int) -> bytes:
    out = b""
    while len(out) < n and (chunk := stream.read(n - len(out))):
        out += chunk
    return out


def is_web_page(path: str) -> bool:
    """Whether a file is HTML or XML: often what a server sends in place of what was asked for."""
    with open(path, "rb") as file:
        return bool(_PAGE.match(file.read(512)))


def _not_an_archive(path: str, name: str) -> Damaged:
    with open(path, "rb") as file:
        head = file.read(512)
    for magic, kind in FOREIGN.items():
        if head.startswith(magic):
            return Damaged(
                f"{name} is a {kind} archive, which Darkroom does not read: unpack it yourself"
                " and give the folder as source"
            )
    if not head:
        return Damaged(f"{name} is empty: get it again")
    if _PAGE.match(head):
        return Damaged(
            f"{name} is a web page, not an archive: the address leads to a page around the file"
            " (a login, perhaps), so give the file's own address"
        )
    return Damaged(
        f"{name} is no archive that Darkroom knows by its content: zip, tar, or a tar packed"
        " by gzip, bzip2, xz or zstd"
    )


# ---------------------------------------------------------------- unpacking


def unpack(
    path: str,
    target: str,
    *,
    max_bytes: int,
    max_files: int,
    name: str | None = None,
) -> Unpacked:
    """Unpack an archive into a folder, as the module's opening says.

    The folder is not atomic: give one that is renamed when this has returned.

    Parameters
    ----------
    path : the archive. target : folder, made where missing, to hold nothing yet.
    max_bytes, max_files : limits on what is written, nested archives included.
    name : words for the archive in messages; unset: its file name.

    Raises
    ------
    UserError
        Not an archive, damaged, cut short, protected by a password, climbing out of the
        folder, beyond the limits, empty, or no space.
    """
    name = name or os.path.basename(path)
    os.makedirs(target, exist_ok=True)
    job = _Job(target, name, max_bytes, max_files, os.path.getsize(path))
    with disk.full_disc_in_words(target):
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
    """Paths that unpacking would give, sorted, without unpacking.

    Returns
    -------
    None where that cannot be told soon and surely: more than `limit` entries, links or nested
    archives, a damaged archive, a compressed tarball beyond 10 MB.
    """
    try:
        kind = recognise(path)
        names: set[str] = set()
        if kind == "zip":
            with _zip(path) as file:
                infos = file.infolist()
                entries: Iterator[tuple[str, str]] = (
                    (name := _zip_name(i), _zip_type(i, name)) for i in infos
                )
                if len(infos) > limit or not _collect(entries, names, limit):
                    return None
        elif kind is not None and kind.startswith("tar"):
            if kind != "tar" and os.path.getsize(path) > SLOW_LISTING:
                return None
            with _tar(path, kind) as (tar, _):
                if not _collect(_tar_entries(tar), names, limit):
                    return None
        else:
            return None
    except (*DAMAGED, _Broken, OSError, NotImplementedError, RuntimeError):
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
class _Job:
    """One unpacking: the target, the limits, and what has been counted so far."""

    root: str
    name: str
    max_bytes: int
    max_files: int
    packed: int
    files: int = 0
    written: int = 0
    other: int = 0
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
                f" {disk.size_text(self.written)} and goes on: it looks like a zip bomb; if it is"
                " not, unpack it yourself and give the folder as source"
            )

    def count_file(self) -> None:
        self.files += 1
        if self.files > self.max_files:
            raise self._too_much(f"{self.max_files:,} files", "max_files")

    def count_other(self) -> None:
        """Entries that write nothing take time all the same."""
        self.other += 1
        if self.other > max(10 * self.max_files, 10_000):
            raise self._too_much(f"{self.max_files:,} files", "max_files")

    def _too_much(self, limit: str, key: str) -> UserError:
        return UserError(
            f"{self.name} unpacks to more than {limit}: if that is meant, raise"
            f" limits: {{{key}: …}} of the data set"
        )

    def skip(self, reason: str, name: str, *, quiet: bool = False) -> None:
        self.count_other()
        self.skipped[reason] += 1
        if not quiet:
            self.first.setdefault(reason, name)

    # -- entries

    def place(self, folder: str, raw: str) -> str | None:
        """Clean relative path of an entry below `folder`, or None for litter and nothing."""
        try:
            clean = safe_name(raw)
        except ValueError:
            raise UserError(
                f"{self.name} is not unpacked: its entry {raw!r} points out of the folder that it"
                " would be unpacked into"
            ) from None
        if clean is None:
            self.count_other()
            return None
        if is_junk(clean):
            self.skip("files of macOS or Windows file managers", clean, quiet=True)
            return None
        return posixpath.join(folder, clean)

    def write(self, relative: str, source: IO[bytes], depth: int) -> None:
        """Write one regular file; of equal names the last one stays."""
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
                raise _Broken(f"the path {relative[:80]}… is too long") from None
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
        """Put the file itself where the archive has a link to a file of its own."""
        for relative, target in self.links.items():
            for _ in range(40):
                if target not in self.links or os.path.lexists(os.path.join(self.root, target)):
                    break
                target = self.links[target]
            path, there = (
                os.path.join(self.root, relative),
                os.path.join(self.root, target),
            )
            if not target:
                self.skip("links out of the archive", relative)
            elif os.path.isdir(there):
                self.skip("links to a folder", relative)
            elif not os.path.isfile(there):
                self.skip("links to nothing", relative)
            elif os.path.lexists(path):
                self.skip("links where a file is already", relative)
            else:
                self.count_file()
                self.count_bytes(os.path.getsize(there))
                try:
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    os.link(there, path)
                except (FileExistsError, NotADirectoryError):
                    self.skip("a file and a folder of the same name", relative)
                except OSError:
                    shutil.copyfile(there, path)
        self.links.clear()

    # -- archives

    def archive(self, path: str, folder: str, name: str, depth: int) -> None:
        kind = recognise(path)
        if kind is None:
            raise _not_an_archive(path, name)
        try:
            if kind == "zip":
                self._unzip(path, folder, name, depth)
            elif kind.startswith("tar"):
                self._untar(path, kind, folder, name, depth)
            else:
                with _decompressed(path, kind) as stream:
                    only = safe_name(stem(os.path.basename(name))) or "file"
                    self.write(posixpath.join(folder, only), stream, depth)
        except _Broken as error:
            raise UserError(f"{name} cannot be unpacked: {error}") from None
        except DAMAGED as error:
            raise Damaged(
                f"{name} is damaged or cut short ({_brief(error)}): get it again"
            ) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise Damaged(
                f"{name} is damaged or cut short ({_brief(error)}): get it again"
            ) from None
        self.settle_links()

    def nested_archives(self) -> None:
        """Unpack archives that were unpacked, each into a folder of its name in its place."""
        while self.nested:
            relative, depth = self.nested.pop()
            path = os.path.join(self.root, relative)
            kind = recognise(path)
            if kind is None or not (kind == "zip" or kind.startswith("tar")):
                continue
            if depth + 1 > DEPTH:
                self.skip(f"archives nested deeper than {DEPTH}, kept packed", relative)
                continue
            folder = stem(relative)
            if os.path.lexists(os.path.join(self.root, folder)):
                folder = relative  # beside a folder of that name: keep the suffix
            packed = f"{path}.packed"
            while os.path.lexists(packed):
                packed += "~"
            os.rename(path, packed)
            self.files -= 1
            self.written -= os.path.getsize(packed)
            self.archive(packed, folder, f"{self.name}: {relative}", depth + 1)
            os.remove(packed)

    def _unzip(self, path: str, folder: str, name: str, depth: int) -> None:
        with _zip(path) as file:
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
        raw = _zip_name(info)
        kind = _zip_type(info, raw)
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
                raise _Broken(
                    "it is protected by a password: unpack it yourself and give the folder"
                    " as source"
                ) from None
            raise _Broken(
                f"{relative} is packed in a way that Python cannot read ({error}): unpack it"
                " yourself and give the folder as source"
            ) from None
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise EOFError(f"{relative}: {_brief(error)}") from None

    def _untar(self, path: str, kind: str, folder: str, name: str, depth: int) -> None:
        total = os.path.getsize(path)
        with (
            progress(f"Unpacking {name}", total, "B") as bar,
            _tar(path, kind, lambda n: bar.update(n), self._stream_limit()) as (tar, stream),
        ):
            while (info := tar.next()) is not None:
                tar.members.clear()  # else it grows with the archive
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
                # the other formats have an end of their own
                raise EOFError("the end of the tar is missing")
            while stream.read(CHUNK):
                pass  # to the checksum at the end

    def _stream_limit(self) -> int:
        """Bytes a tar may take beside its files' own: headers, padding, entries left out."""
        return max(0, self.max_bytes - self.written) + 10**9


def _link_target(relative: str, folder: str, target: str) -> str:
    """Where a link leads, below the root; empty where it leads out of its archive."""
    inside = posixpath.relpath(posixpath.dirname(relative) or ".", folder or ".")
    if target.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", target):
        return ""
    try:
        clean = safe_name(posixpath.join("" if relative == "" else inside, target))
    except ValueError:
        return ""
    return posixpath.join(folder, clean) if clean else ""


def _brief(error: BaseException) -> str:
    text = str(error).strip().rstrip(".") or type(error).__name__
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


# ---------------------------------------------------------------- zip


class _AnyNames(io.BufferedReader):
    """A zip's bytes with the `name is UTF-8` flag cleared.

    `zipfile` gives up a whole archive when one name is marked as UTF-8 and is not. Without the
    flag every name comes through as cp437, which maps each byte to one character and back, so
    that `_zip_name` can decide by the bytes.
    """

    table = True

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if size == 30 and data.startswith(b"PK\x03\x04"):
            return data[:7] + bytes([data[7] & ~0x08]) + data[8:]
        if self.table and data.startswith(b"PK\x01\x02"):
            changed, at = bytearray(data), 0
            while changed[at : at + 4] == b"PK\x01\x02" and at + 46 <= len(changed):
                changed[at + 9] &= ~0x08
                at += 46 + sum(struct.unpack_from("<3H", changed, at + 28))
            return bytes(changed)
        return data


@contextmanager
def _zip(path: str) -> Iterator[zipfile.ZipFile]:
    with _AnyNames(io.FileIO(path)) as raw:
        try:
            file = zipfile.ZipFile(raw)
        except NotImplementedError as error:
            raise _Broken(f"{error}: unpack it yourself and give the folder") from None
        raw.table = False
        with file:
            yield file


def _zip_name(info: zipfile.ZipInfo) -> str:
    try:
        raw = info.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return info.orig_filename
    extra = info.extra
    while len(extra) >= 4:  # Info-ZIP's Unicode path: version, CRC of the plain name, name
        kind, size = struct.unpack_from("<2H", extra)
        if kind == 0x7075 and size > 5 and extra[4] == 1:
            crc = struct.unpack_from("<I", extra, 5)[0]
            raw = extra[9 : 4 + size] if crc == zlib.crc32(raw) else raw
        extra = extra[4 + size :]
    raw = raw.split(b"\0")[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _zip_type(info: zipfile.ZipInfo, name: str) -> str:
    if name.endswith(("/", "\\")):
        return "folder"
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode) and info.file_size == 0:
        return "folder"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "other"


# ---------------------------------------------------------------- tar


class _Info(tarfile.TarInfo):
    """Headers that fail loudly: by itself tarfile takes a damaged header for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Info:
        info = super().frombuf(buf, encoding, errors)
        if info.type in b"xgXLK" and info.size > PAX_HEADER:  # read into memory by tarfile
            raise tarfile.ReadError("a header of more than 1 MB")
        return info

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Info:
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":
                tar.ended = True  # type: ignore[attr-defined]
            elif type(error).__name__ != "EmptyHeaderError":
                raise tarfile.ReadError(str(error)) from None
            raise


class _Tar(tarfile.TarFile):
    members: list[tarfile.TarInfo]
    ended = False


class _Counted(io.RawIOBase):
    """Raw bytes that tell a progress bar how far reading has come."""

    def __init__(self, path: str, tell: Callable[[int], object]) -> None:
        self.file, self.tell_bar = open(path, "rb"), tell  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self.file.readinto(buffer)
        self.tell_bar(n)
        return n

    def close(self) -> None:
        self.file.close()
        super().close()


class _Zstd(io.RawIOBase):
    """Frames of zstandard one after another; says when the last one is cut short."""

    def __init__(self, source: IO[bytes]) -> None:
        import zstandard

        self.source = source
        self.new = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj
        self.error = zstandard.ZstdError
        self.frame: Any = None
        self.ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not len(self.ready):
            # 4 bytes may stand for 128 kB, so small bites bound the memory
            data = self.source.read(4096)
            if not data:
                if self.frame is not None:
                    raise EOFError("the end of the zstd frame is missing")
                return 0
            out = []
            while data:
                self.frame = self.frame or self.new()
                try:
                    out.append(self.frame.decompress(data))
                except self.error as error:
                    raise EOFError(str(error)) from None
                data = self.frame.unused_data if self.frame.eof else b""
                if self.frame.eof:
                    self.frame = None
            self.ready = memoryview(b"".join(out))
        n = min(len(buffer), len(self.ready))
        buffer[:n], self.ready = self.ready[:n], self.ready[n:]
        return n


class _Limited(io.RawIOBase):
    """A stream that ends in an error once it gives more than it may."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream, self.left = stream, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read(len(buffer))
        self.left -= len(data)
        if self.left < 0:
            raise _Broken("it unpacks to far more than the limits: of the data set allow")
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _decompressed(
    path: str, kind: str, tell: Callable[[int], object] = lambda n: None
) -> Iterator[IO[bytes]]:
    """The bytes inside `gz`, `bz2`, `xz`, `zst`; those of the file itself for `tar`."""
    with io.BufferedReader(_Counted(path, tell), 1 << 16) as raw:
        if kind.endswith("gz"):
            yield gzip.GzipFile(fileobj=raw)  # type: ignore[misc]
        elif kind.endswith("bz2"):
            yield bz2.BZ2File(raw)
        elif kind.endswith("xz"):
            yield lzma.LZMAFile(raw)  # noqa: SIM115
        elif kind.endswith("zst"):
            yield io.BufferedReader(_Zstd(raw), 1 << 16)
        else:
            yield raw


@contextmanager
def _tar(
    path: str,
    kind: str,
    tell: Callable[[int], object] = lambda n: None,
    limit: int | None = None,
) -> Iterator[tuple[_Tar, IO[bytes]]]:
    if kind == "tar" and limit is None:  # a listing: seek over the files
        with open(path, "rb") as file, _Tar(fileobj=file, **_TAR) as tar:
            yield tar, file
        return
    with _decompressed(path, kind, tell) as inner:
        stream: Any = io.BufferedReader(_Limited(inner, limit or 1 << 62), 1 << 16)
        with _Tar.open(fileobj=stream, mode="r|", bufsize=1 << 16, **_TAR) as tar:
            yield tar, stream


_TAR: dict[str, Any] = {
    "tarinfo": _Info,
    "encoding": "utf-8",
    "errors": "surrogateescape",
}


def _tar_entries(tar: _Tar) -> Iterator[tuple[str, str]]:
    while (info := tar.next()) is not None:
        tar.members.clear()
        kind = "link" if info.issym() or info.islnk() else "other"
        yield info.name, "file" if info.isreg() else kind
