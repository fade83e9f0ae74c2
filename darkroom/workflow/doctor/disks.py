"""Room, and what a file system has to do: rename, map, lock."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from darkroom.machine import disk, hardware
from darkroom.machine.drivers import Finding
from darkroom.workflow.doctor.request import Request


def look(request: Request) -> Iterator[Finding]:
    """Room, and what a file system has to do: rename, map, lock."""
    seen: set[int] = set()
    for part in ("results", "data"):
        place = disk.nearest(request.folder / part)
        device = place.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(place)
        kind = _kind(place)
        yield Finding(
            "ok",
            f"{place}{f' ({kind})' if kind else ''}: {disk.size_text(usage.free)} of "
            f"{disk.size_text(usage.total)} free",
        )
        inodes = os.statvfs(place)
        if inodes.f_files and inodes.f_favail < 10_000:
            yield Finding(
                "problem",
                f"{place}: room for only {inodes.f_favail} more files, however small; remove some",
            )
        yield from _tried(place)
    yield from _temporary()


def _kind(place: Path) -> str:
    """Name of the file system that a folder is on, as /proc/mounts has it."""
    best, kind = "", ""
    for line in hardware.lines(Path("/proc/mounts")):
        words = line.split()
        if len(words) < 3:
            continue
        mount = words[1].replace("\\040", " ")
        if len(mount) >= len(best) and place.resolve().is_relative_to(mount):
            best, kind = mount, words[2]
    return kind


def _tried(place: Path) -> Iterator[Finding]:
    """What every stage does with its files, done once."""
    try:
        folder = tempfile.mkdtemp(prefix=".doctor-", dir=place)
    except OSError as error:
        yield Finding("problem", disk.in_words(_at(error, place)) or f"{place}: {error.strerror}")
        return
    try:
        trial = Path(folder) / "trial"
        for what, then, act in TRIALS:
            try:
                act(trial)
            except (OSError, ValueError, RuntimeError) as error:
                why = " ".join(str(error).split())
                level, advice = then
                yield Finding(level, f"{place}: {what} is refused ({why}): {advice}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _at(error: OSError, place: Path) -> OSError:
    error.filename = str(place)
    return error


def _write(path: Path) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(bytes(4096))
        os.fsync(file.fileno())
    part.replace(path)


def _map(path: Path) -> None:
    import mmap

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        if mapped[:1] != b"\0":
            raise ValueError("another byte was read than was written")


def _flock(path: Path) -> None:
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _exclusive(path: Path) -> None:
    place = path.with_suffix(".lock")
    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return
    raise OSError("a file could be made a second time")


def _hdf5(path: Path) -> None:
    import h5py

    place = path.with_suffix(".h5")
    with h5py.File(place, "w", locking=False) as file:
        file.create_dataset("images", (16,), "u1")
    with h5py.File(place, "r", locking=False) as file:
        _ = file["images"][()]


def _hdf5_locked(path: Path) -> None:
    import h5py

    with h5py.File(path.with_suffix(".locked.h5"), "w", locking=True) as file:
        file.create_dataset("images", (16,), "u1")


Then = tuple[Any, str]
ELSEWHERE = "work in a folder of another disk (snakemake --directory FOLDER)"
TRIALS: tuple[tuple[str, Then, Callable[[Path], None]], ...] = (
    ("writing a file and renaming it", ("problem", ELSEWHERE), _write),
    ("mapping a file into memory", ("problem", ELSEWHERE), _map),
    ("making a file that only one can make", ("problem", ELSEWHERE), _exclusive),
    ("an HDF5 file", ("problem", ELSEWHERE), _hdf5),
    ("a lock on a file (flock)",
     ("note", "after a killed run, say `snakemake --unlock` before the next"), _flock),
    ("HDF5's own lock",
     ("note", "Darkroom does without; for other programs set HDF5_USE_FILE_LOCKING=FALSE"), _hdf5_locked),
)  # fmt: skip


def _temporary() -> Iterator[Finding]:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    if free < 500_000_000:
        yield Finding(
            "note",
            f"{place}: {disk.size_text(free)} free for temporary files; set TMPDIR to a folder with more",
        )
