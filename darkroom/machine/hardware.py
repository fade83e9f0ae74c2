"""What a result was made with: commit, versions, hardware, and the time and memory it took.

And what a process may use of the hardware.
"""

from __future__ import annotations

import csv
import math
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from darkroom import ROOT, __version__
from darkroom.machine import installed
from darkroom.machine.commands import said

CGROUP = Path("/sys/fs/cgroup")
PACKAGES = (
    "numpy",
    "pandas",
    "pyarrow",
    "h5py",
    "opencv-python-headless",
    "opencv-python",
    "pillow",
    "scikit-learn",
    "skops",
    "keras",
    "tensorflow",
    "torch",
    "jax",
    "snakemake",
    "matplotlib",
)


@dataclass(frozen=True)
class Cost:
    """Time and memory of one stage, summed over its jobs.

    Attributes
    ----------
    stage : its rule.
    jobs : benchmark files found.
    seconds : wall time, summed over jobs.
    longest : wall seconds of the longest job.
    memory : largest resident memory of a job
        and its children, in MB as Snakemake measures them (2^20 bytes); None: not measured.
    """

    stage: str
    jobs: int
    seconds: float
    longest: float
    memory: float | None


def costs(folder: str, stages: Sequence[str]) -> list[Cost]:
    """Read Snakemake's benchmark files below a folder, a stage at a time.

    A file's name begins with its rule. The report's own is left out, being of the run before.

    Parameters
    ----------
    folder : of a data set's benchmark files.
    stages : in the order that they are listed in; others follow.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(Path(folder).rglob("*.tsv")):
        stage = re.split("[-.]", path.name)[0]
        if stage == "write_report":
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, delimiter="\t"):
                seconds = _number(line.get("s"))
                if math.isfinite(seconds):
                    found.setdefault(stage, []).append((seconds, _number(line.get("max_rss"))))
    out = []
    for stage in (*stages, *sorted(set(found) - set(stages))):
        jobs = found.get(stage)
        if not jobs:
            continue
        # A job too short to be looked at has no memory, or 0.
        memory = [m for _, m in jobs if math.isfinite(m) and m > 0]
        seconds, longest = sum(s for s, _ in jobs), max(s for s, _ in jobs)
        out.append(Cost(stage, len(jobs), seconds, longest, max(memory) if memory else None))
    return out


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def commit(root: Path = ROOT) -> str:
    """The commit of this checkout, with a word about local changes; or that there is none."""
    top = said("git", "-C", str(root), "rev-parse", "--show-toplevel")
    # A copy inside somebody's own repository is no checkout of this one.
    if top is None or Path(top).resolve() != root.resolve():
        return "not a git checkout"
    head = said("git", "-C", str(root), "rev-parse", "HEAD")
    if head is None:
        return "not a git checkout"
    changed = said("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return f"{head} with local changes" if changed else head


def versions(packages: Sequence[str] = PACKAGES) -> list[tuple[str, str]]:
    """Installed versions, without importing anything; packages that are missing are left out."""
    out = [("darkroom", __version__), ("Python", platform.python_version())]
    have = ((name, installed.version(name)) for name in packages)
    return out + [(name, version) for name, version in have if version is not None]


def hardware() -> list[tuple[str, str]]:
    """This machine in words: processor, cores, memory, GPUs, operating system."""
    out = [("processor", _processor())]
    total, usable = os.cpu_count() or 1, cores()
    out.append(("cores", f"{total}" if usable == total else f"{usable} usable of {total}"))
    size = memory()
    if size is not None:
        out.append(("memory", f"{size / 2**30:.1f} GiB"))
    gpus = said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    names = [line.strip() for line in (gpus or "").splitlines() if line.strip()]
    counted = [f"{names.count(n)} × {n}" if names.count(n) > 1 else n for n in dict.fromkeys(names)]
    out.append(("graphics", ", ".join(counted) or "none found"))
    out.append(("system", _system()))
    return out


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    brand = said("sysctl", "-n", "machdep.cpu.brand_string")
    return brand or platform.processor() or platform.machine() or "unknown"


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()} ({platform.machine()})"
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        name = None
    return f"{name}, {kernel}" if name else kernel


# ---------------------------------------------------------------- what a process may use


class Limits(NamedTuple):
    """What a process may use: cores, and memory in bytes (None: unknown), whatever limits them."""

    cores: float
    memory: int | None


def cores() -> int:
    """Cores that this process may run on; `snakemake --cores all` takes as many."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def multiplications() -> float:
    """How many a core does in a second of a product of matrices in float32: measured now, in some 50 ms."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    side, took = 512, []
    matrix = np.ones((side, side), np.float32)
    with threadpool_limits(1):  # threads that wait for each other would count
        for _ in range(12):
            began = time.thread_time()
            matrix @ matrix
            took.append(time.thread_time() - began)
    return float(side**3 / max(min(took), 1e-6))


def memory() -> int | None:
    """Memory of this machine, in bytes; None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def limits() -> Limits:
    """Cores and memory that this process may use, cgroups counted."""
    most, sizes = float(cores()), [size for size in [memory()] if size is not None]
    for folder in _cgroups():
        quota = _words(folder / "cpu.max")
        if len(quota) == 2 and quota[0].isdigit():
            most = min(most, int(quota[0]) / int(quota[1]))
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _words(folder / name)
            if limit and limit[0].isdigit():
                sizes.append(int(limit[0]))
    return Limits(most, min(sizes) if sizes else None)


def _cgroups() -> Iterator[Path]:
    """The folders of this process's cgroup and of those above it, of both versions."""
    for line in lines(Path("/proc/self/cgroup")) or ["0::/"]:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = CGROUP / controllers
        place = top / path.lstrip("/")
        while True:
            yield place
            if place == top or top not in place.parents:
                break
            place = place.parent


def lines(file: Path) -> list[str]:
    """Of a file that the system writes; none where there is no such file."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _words(file: Path) -> list[str]:
    return " ".join(lines(file)).split()
