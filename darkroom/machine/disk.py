"""The disk: files written whole or not at all, and words for what it refuses.

Full, read-only, out of quota, a lock or a file that is gone: none is a defect of ours, so
each is a sentence that says where and what to do (`in_words`).
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from darkroom.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LOST = {errno.ESTALE, errno.ENOTCONN}  # by a file server, whatever the file


def size_text(n: float) -> str:
    """Bytes for people, in powers of 1000: `62.2 MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            break
        n /= 1000
    return f"{n:.0f} {unit}" if unit == "B" or n >= 99.95 else f"{n:.1f} {unit}"


def nearest(place: Path) -> Path:
    """A folder itself, or the nearest above it that is there."""
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return place


def require(folder: str, needed: int, what: str) -> None:
    """Ask for free space before work that is known to need it.

    Parameters
    ----------
    folder : an existing folder of the disk.
    needed : bytes.
    what : words for what needs them.

    Raises
    ------
    UserError
        Less is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"no space: {what} needs {size_text(needed)} and the disk of {Path(folder).absolute()}"
            f" has {size_text(free)} free; free some, or run in a folder of another disk"
            " (snakemake --directory)"
        )


@contextmanager
def full_disk_in_words(folder: str) -> Iterator[None]:
    """Turn the system's `no space left` (or quota) into a sentence that names the disk.

    Raises
    ------
    UserError
        The block failed for want of space; any other error passes unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(str(in_words(error, [folder]))) from None


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A file under its name only when whole: the body writes to the path that it is given.

    What it wrote is on the disk before it gets its name, so that after a power cut too a
    name stands for a whole file. After an error nothing is left.

    Parameters
    ----------
    path : of the file; its folder is made.
    """
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.stem.lstrip('.')}.part{place.suffix}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(place)
    finally:
        with suppress(OSError):  # the first error is the one to report
            part.unlink(missing_ok=True)


# ---------------------------------------------------------------- refusals


def in_words(error: BaseException, folders: Sequence[str] = ()) -> str | None:
    """What the system refused, where, and what to do; None where it is no refusal.

    Libraries that pass an error on in a class of their own (HDF5, a worker process) keep
    its number in their text, so that is read too.

    Parameters
    ----------
    error : as caught; what it was raised from counts.
    folders : where the work writes, for an error that names no file; the fullest is named.
    """
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen and len(seen) < 10:
        number, name = _number_and_name(cause)
        if number in _REFUSALS:
            return _sentence(number, name, folders)
        if isinstance(cause, MemoryError):
            return (
                "memory ran out: run again with fewer jobs side by side (--cores), smaller images or "
                "batches, or on a machine with more"
            )
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return None


_REFUSALS = {
    **dict.fromkeys(FULL, ""),
    errno.EROFS: "is on a read-only file system: make it writable, or work in another folder"
    " (snakemake --directory FOLDER)",
    errno.EACCES: "may not be opened by you: change its permissions (chmod, chown), or work in"
    " another folder (snakemake --directory FOLDER)",
    errno.EPERM: "may not be changed by you: change its owner or attributes, or work in another"
    " folder (snakemake --directory FOLDER)",
    errno.EIO: "cannot be read or written (input/output error): the disk or its connection fails;"
    " copy what matters to another and run there",
    errno.ESTALE: "is no longer known to the file server (stale handle): wait or mount it again,"
    " and run the same command again",
    errno.ENOLCK: "cannot be locked: this file system gives no locks; work in a folder of another"
    " (snakemake --directory FOLDER)",
    errno.ENOENT: "is not there any more: it went away while this ran; bring it back, or run the"
    " same command again to make it anew",
    errno.ENOTCONN: "is on a file system that lost its connection: mount it again and run the same"
    " command again",
    errno.EXDEV: "cannot get its name, since that lies on another file system than its folder: mount no single"
    " files here, or work in another folder (snakemake --directory FOLDER)",
    errno.EMFILE: "cannot be opened: too many files are open; raise the limit (ulimit -n 4096) and"
    " run the same command again",
    errno.ENAMETOOLONG: "has too long a name for this file system: work in a folder with a shorter path",
}
# Of sockets and processes too: only where a file is named.
_NAMELESS = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTCONN}


def _number_and_name(error: BaseException) -> tuple[int, str]:
    """The system's error number, and the file it names; 0 and the empty string for none."""
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if number is None and isinstance(error, (OSError, RuntimeError)):
        numbers = re.findall(r"\[?[Ee]rrno[ =]+(\d+)", text)
        number = int(numbers[-1]) if numbers else None
    name = getattr(error, "filename", None)
    if name is None and number is not None:
        quoted = re.findall(r"(?:name = |: |local file )'([^'\n]+)'", text)
        name = quoted[-1] if quoted else None
    name = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""
    if number in _NAMELESS and not name:
        return 0, ""
    return number or 0, name


def _sentence(number: int, name: str, folders: Sequence[str]) -> str:
    if number not in FULL:
        where = name or " or ".join(map(str, folders)) or "a file"
        return f"{where} {_REFUSALS[number]}"
    if name:
        folders = [name if Path(name).is_dir() else str(Path(name).parent)]
    free_of = {str(f): free for f in folders if (free := _free(f)) is not None}
    folder = min(free_of, key=lambda f: free_of[f], default=".")
    left = f", with {size_text(free_of[folder])} free" if free_of else ""
    again = "free some and run the same command again: it goes on from what is whole"
    if number == errno.EFBIG:
        return (
            f"no space: a file below {Path(folder).absolute()} grew beyond what this file system or"
            f" your limit (ulimit -f) allows{left}; raise it and run the same command again"
        )
    return (
        f"no space: writing below {Path(folder).absolute()} stopped because the disk (or your"
        f" quota) is full{left}; {again}"
    )


def _free(folder: str | Path) -> int | None:
    """Free bytes of the disk of a folder, or of the nearest above it that exists."""
    try:
        return shutil.disk_usage(nearest(Path(folder).absolute())).free
    except OSError:
        return None


def write_json(path: str, value: Any) -> None:
    """Write a JSON file beside its place and rename it: it is never seen half-written."""
    with whole(path) as beside, beside.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def read_json(path: str) -> dict[str, Any]:
    """A JSON object from a file; empty where the file is missing or is not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
