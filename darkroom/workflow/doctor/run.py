"""Time, memory and disk of a run from its beginning."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.errors import UserError
from darkroom.machine import disk, gpus, hardware
from darkroom.machine.drivers import Finding
from darkroom.machine.units import rough_duration
from darkroom.workflow.doctor.computer import gib
from darkroom.workflow.doctor.disks import ELSEWHERE
from darkroom.workflow.doctor.request import Request, some
from darkroom.workflow.forecast import forecast
from darkroom.workflow.needs import MB
from darkroom.workflow.plan import plan
from darkroom.workflow.size import ASSUMED_FILES, size_of


def look(request: Request) -> Iterator[Finding]:
    """What a run takes, beside what this machine has."""
    settings = request.settings
    if settings is None:
        return
    have = hardware.limits()
    cores = max(1, int(have.cores))
    there = len(gpus.found()) if settings.gpus != 0 else 0
    try:
        jobs = plan(request.files, request.values, request.folder, cores, request.root)
    except UserError as error:
        yield Finding("problem", f"Snakemake cannot plan a run: {error}")
        return
    with contextlib.chdir(request.folder):
        assumed = [d for d in settings.run.datasets if size_of(settings, d).known == "assumed"]
        expected = forecast(settings, jobs, cores, there)
    total, where = sum(expected.seconds.values()), f"{cores} core{'s' if cores > 1 else ''}"
    if there:
        where += f" and {there} GPU{'s' if there > 1 else ''}"
    longest = ", ".join(
        f"{rule} {rough_duration(expected.seconds[rule])} ({count} job{'s' if count > 1 else ''})"
        for rule in sorted(expected.seconds, key=lambda rule: -expected.seconds[rule])[:3]
        if (count := expected.jobs[rule])
    )
    if assumed:
        yield Finding(
            "note",
            f"nothing is known yet of {some(assumed)}: {ASSUMED_FILES} files are assumed; "
            "after `snakemake --cores 1 download` the forecast is better",
        )
    yield Finding(
        "ok",
        f"a run from its beginning: {expected.jobs.total()} jobs, about {rough_duration(total)} on {where} with "
        f"nothing else to do; most of it {longest}",
    )
    yield _memory(expected.memory, expected.largest, expected.beside, have.memory)
    begun = [d for d in settings.run.datasets if (request.folder / "results" / d).exists()]
    yield _written(request.folder, expected.disk, begun)


def _memory(size: float, rule: str, beside: int, limit: int | None) -> Finding:
    line = f"most memory: {rule}, about {gib(size)}"
    if beside > 1:
        line += f", and {beside} of them side by side"
    if limit is not None and size > limit:
        return Finding(
            "problem",
            f"{line}, where {gib(limit)} are yours: a smaller `batch`, view or `max_rows`, or a "
            "machine with more",
        )
    if limit is not None and size * beside > 0.9 * limit:
        return Finding(
            "note",
            f"{line}: that may not fit into {gib(limit)}; --resources "
            f"mem_mb={int(limit * 0.9 / MB)} keeps jobs apart",
        )
    return Finding("ok", line)


def _written(folder: Path, size: float, begun: Sequence[str]) -> Finding:
    free = shutil.disk_usage(folder).free
    line = f"writes about {disk.size_text(size)}"
    if begun:
        line += f", less what is there of {some(begun)}"
    elif size > free:
        return Finding(
            "problem",
            f"{line} and {disk.size_text(free)} are free: free some, or {ELSEWHERE}",
        )
    return Finding("ok", f"{line}; {disk.size_text(free)} are free")
