"""Archive formats: recognition by content, decompression, and the entries of zip and tar files."""

# ruff: noqa: PTH123
from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from darkroom.errors import UserError

TOO_MANY = "its table lists more files than an archive of this size holds"
PAX_HEADER = 1 << 20
MOST_DIGITS = 1000  # in a row in a pax header
MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
_PAGE = re.compile(rb"\s*<(!doctype|html|\?xml|!--)", re.I)
UNSUPPORTED = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar"}
# Errors that the standard library raises on damaged or malicious data.
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


class Damaged(UserError):
    """The archive is damaged; another copy of it may be intact."""


class Broken(Exception):
    """The archive is damaged, truncated, protected by a password or of an unsupported kind."""


def brief(error: BaseException) -> str:
    """The text of an error as the end of a sentence."""
    text = str(error).strip().rstrip(".") or type(error).__name__
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


# ---------------------------------------------------------------- recognition


def recognise(path: str) -> str | None:
    """The kind of an archive, by its content and not its name.

    Returns
    -------
    `zip`, `tar`, `tar.gz`, `tar.bz2`, `tar.xz`, `tar.zst`, or `gz`, `bz2`, `xz`, `zst` for a
    single compressed file; None for anything else.
    """
    with open(path, "rb") as file:
        head = file.read(512)
    kind = next((k for magic, k in MAGIC.items() if head.startswith(magic)), None)
    if kind == "zip":
        return "zip"
    if kind is not None:
        try:
            with decompressed(path, kind) as stream:
                head = _read_exactly(stream, 512)
        except (*DAMAGED, OSError):
            return kind  # reading it will raise the error
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
    """Whether a file is HTML or XML, which servers often send in place of the file."""
    with open(path, "rb") as file:
        return bool(_PAGE.match(file.read(512)))


def not_an_archive(path: str, name: str) -> Damaged:
    """The error for a file that `recognise` does not know."""
    with open(path, "rb") as file:
        head = file.read(512)
    for magic, kind in UNSUPPORTED.items():
        if head.startswith(magic):
            return Damaged(
                f"{name} is a {kind} archive, which Darkroom does not read: unpack it yourself"
                " and give the folder as source"
            )
    if not head:
        return Damaged(f"{name} is empty: download it again")
    if _PAGE.match(head):
        return Damaged(
            f"{name} is a web page, not an archive: the address leads to a page about the file"
            " (or to a login): give the address of the file itself"
        )
    return Damaged(
        f"{name} is no archive of a supported format (zip, tar, or tar compressed by gzip, bzip2,"
        " xz or zstd): give one, or the folder of the images and their tables"
    )


# ---------------------------------------------------------------- compression


class _Counted(io.RawIOBase):
    """Raw bytes of a file; `progress` is called with the size of each read."""

    def __init__(self, path: str, progress: Callable[[int], object]) -> None:
        self.file, self.progress = open(path, "rb"), progress  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self.file.readinto(buffer)
        self.progress(n)
        return n

    def close(self) -> None:
        self.file.close()
        super().close()


class _Zstd(io.RawIOBase):
    """Consecutive zstandard frames; raises EOFError where the last one is truncated."""

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
            # 4 bytes may expand to 128 kB, so small reads bound the memory
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
    """A stream that raises an error beyond its limit."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream, self.left = stream, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read(len(buffer))
        self.left -= len(data)
        if self.left < 0:
            raise Broken("it unpacks to far more than the data set's limits allow")
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def decompressed(
    path: str, kind: str, progress: Callable[[int], object] = lambda n: None
) -> Iterator[IO[bytes]]:
    """Open the decompressed bytes of `gz`, `bz2`, `xz`, `zst`, or the plain bytes of `tar`."""
    with io.BufferedReader(_Counted(path, progress), 1 << 16) as raw:
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


# ---------------------------------------------------------------- zip


class _AnyNames(io.BufferedReader):
    """A zip's bytes with the `name is UTF-8` flag cleared.

    `zipfile` refuses a whole archive when one name is wrongly marked as UTF-8. Without the flag it
    decodes every name as cp437, which is reversible, so `zip_name` gets the original bytes.

    A table of more than `most` entries is refused before `zipfile` makes objects of them.
    """

    table = True
    most: int

    def read(self, size: int | None = -1) -> bytes:
        if self.table and (size or 0) > 500 * self.most:  # before it is in memory
            raise Broken(TOO_MANY)
        data = super().read(size)
        if size == 30 and data.startswith(b"PK\x03\x04"):
            return data[:7] + bytes([data[7] & ~0x08]) + data[8:]
        if self.table and data.startswith(b"PK\x01\x02"):
            changed, at, entries = bytearray(data), 0, 0
            while changed[at : at + 4] == b"PK\x01\x02" and at + 46 <= len(changed):
                entries += 1
                if entries > self.most:
                    raise Broken(TOO_MANY)
                changed[at + 9] &= ~0x08
                at += 46 + sum(struct.unpack_from("<3H", changed, at + 28))
            return bytes(changed)
        return data


@contextmanager
def open_zip(path: str, most: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive of at most so many entries, whatever the encoding of its names."""
    with _AnyNames(io.FileIO(path)) as raw:
        raw.most = most
        try:
            file = zipfile.ZipFile(raw)
        except NotImplementedError as error:
            raise Broken(f"{error}: unpack it yourself and give the folder") from None
        raw.table = False
        with file:
            yield file


def zip_name(info: zipfile.ZipInfo) -> str:
    """Name of a zip entry: UTF-8 where its bytes are UTF-8, otherwise cp437."""
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


def zip_type(info: zipfile.ZipInfo, name: str) -> str:
    """Type of a zip entry: `file`, `folder`, `link` or `other`."""
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
    """Headers that raise an error if damaged: tarfile would treat them as the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Info:
        info = super().frombuf(buf, encoding, errors)
        if info.type in b"xgXLK" and info.size > PAX_HEADER:  # tarfile reads it into memory
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

    def _proc_pax(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Check a pax header before tarfile reads it: some take its expressions hours (CVE-2024-6232)."""
        stream: Any = tar.fileobj
        data = stream.read(self._block(self.size))  # type: ignore[attr-defined]
        _check_pax(data[: self.size])
        tar.fileobj = _Again(data, stream)
        try:
            return super()._proc_pax(tar)  # type: ignore[misc, no-any-return]
        finally:
            tar.fileobj = stream


class _Again:
    """A stream of which some bytes, read already, come once more."""

    def __init__(self, data: bytes, stream: Any) -> None:
        self.data, self.stream = data, stream

    def read(self, size: int) -> bytes:
        data, self.data = self.data, b""
        rest: bytes = data or self.stream.read(size)
        return rest

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _check_pax(data: bytes) -> None:
    """Refuse a pax header whose records are not what POSIX says: `length key=value` and a line's end."""
    at = 0
    while at < len(data):
        length, space, _ = data[at : at + 9].partition(b" ")
        end = at + int(length) if length.isdigit() and space else 0
        if not at < end <= len(data) or data[end - 1 : end] != b"\n":
            raise tarfile.ReadError("a pax header with a record of the wrong length")
        if b"=" not in data[at:end]:
            raise tarfile.ReadError("a pax header with a record without a value")
        at = end
    if max(map(len, re.findall(rb"[0-9]+", data)), default=0) > MOST_DIGITS:
        raise tarfile.ReadError("a pax header with a number of thousands of digits")


class _Tar(tarfile.TarFile):
    members: list[tarfile.TarInfo]
    ended = False


@contextmanager
def open_tar(
    path: str,
    kind: str,
    progress: Callable[[int], object] = lambda n: None,
    limit: int | None = None,
) -> Iterator[tuple[_Tar, IO[bytes]]]:
    """Open a tar archive, and the stream of its decompressed bytes.

    Parameters
    ----------
    path : the archive.
    kind : its kind, as from `recognise`.
    progress : called with the bytes read from the archive.
    limit : most decompressed bytes; None: no limit, as for a listing.
    """
    if kind == "tar" and limit is None:  # for a listing, seek past the files
        with open(path, "rb") as file, _Tar(fileobj=file, **_TAR) as tar:
            yield tar, file
        return
    with decompressed(path, kind, progress) as inner:
        stream: Any = io.BufferedReader(_Limited(inner, limit or 1 << 62), 1 << 16)
        with _Tar.open(fileobj=stream, mode="r|", bufsize=1 << 16, **_TAR) as tar:
            yield tar, stream


_TAR: dict[str, Any] = {
    "tarinfo": _Info,
    "encoding": "utf-8",
    "errors": "surrogateescape",
}


def tar_entries(tar: _Tar) -> Iterator[tuple[str, str]]:
    """Name and type (`file`, `link` or `other`) of each entry."""
    while (info := tar.next()) is not None:
        tar.members.clear()
        kind = "link" if info.issym() or info.islnk() else "other"
        yield info.name, "file" if info.isreg() else kind
