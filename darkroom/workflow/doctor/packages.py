"""Whether the packages of the lock are installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from darkroom.machine import installed
from darkroom.machine.drivers import Finding
from darkroom.workflow.doctor.request import Request, some

PYTHONS = ((3, 11), (3, 13))


def look(request: Request) -> Iterator[Finding]:
    """Python, and the packages that are installed beside those of the lock."""
    have = sys.version_info[:2]
    line = f"Python {'.'.join(map(str, sys.version_info[:3]))} in {sys.prefix}"
    if not PYTHONS[0] <= have <= PYTHONS[1]:
        yield Finding("problem", f"{line}: Darkroom needs Python 3.11, 3.12 or 3.13; `make setup`")
    else:
        yield Finding("ok", line)
    lock = request.root / "envs" / "run.lock"
    missing, other = _against(lock)
    count = len(_locked(lock))
    mend = "`make setup`, or pip install --require-hashes --no-deps -r envs/run.lock"
    if missing:
        yield Finding(
            "problem", f"{len(missing)} of {count} packages are missing: {some(missing)}; {mend}"
        )
    if other:
        yield Finding(
            "note",
            f"{len(other)} of {count} packages are not of the locked version: {some(other)}; what "
            f"was tested is what is locked: {mend}",
        )
    if not missing and not other:
        yield Finding("ok", f"all {count} packages as in envs/run.lock")
    settings = request.settings
    backend = settings.backend if settings is not None else "tensorflow"
    if backend != "tensorflow" and importlib.util.find_spec(backend) is None:
        yield Finding(
            "problem",
            f"backend: {backend} is not installed: pip install -r envs/backends.in, or set "
            "backend: tensorflow",
        )


def _locked(lock: Path) -> dict[str, str]:
    """Names and versions of a lock that are for this interpreter and system."""
    from packaging.requirements import Requirement

    out = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            wanted = Requirement(line.rstrip("\\ "))
            if wanted.marker is None or wanted.marker.evaluate():
                out[wanted.name] = str(wanted.specifier).removeprefix("==")
    return out


def _against(lock: Path) -> tuple[list[str], list[str]]:
    """Packages of a lock that are missing, and those of another version, in words."""
    missing, other = [], []
    for name, version in _locked(lock).items():
        have = installed.version(name)
        if have is None:
            missing.append(name)
        elif have != version:
            other.append(f"{name} {have} (locked: {version})")
    return missing, other
