"""GPUs, their driver and libraries."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.machine import drivers, gpus
from darkroom.machine.drivers import Finding
from darkroom.workflow.doctor.request import Request


def look(request: Request) -> Iterator[Finding]:
    """Whether networks can train on a GPU."""
    settings = request.settings
    backend = settings.backend if settings is not None else "tensorflow"
    count = settings.gpus if settings is not None else "auto"
    if count == 0:
        yield Finding("note", "gpus: 0, so networks train on the processor whatever is here")
        return
    there = gpus.found()
    if count != "auto" and 0 < len(there) < count:
        yield Finding("problem", gpus.too_few(count, there))
    yield from drivers.findings(backend, wanted=None if count == "auto" else True, ask_it=True)
    if there and settings is not None:
        part = gpus.share_of(settings.jobs_per_gpu, settings.gpu_memory)
        if part is not None:
            yield Finding(
                "note", f"a job may take {part:.0%} of a GPU's memory (gpu_memory, jobs_per_gpu)"
            )
