"""Whether the settings are valid, and whether the data can give what they ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from darkroom.errors import UserError
from darkroom.machine.drivers import Finding
from darkroom.workflow.doctor.request import Request, some


def look(request: Request) -> Iterator[Finding]:
    """Whether the configuration is valid, and what it runs."""
    settings = request.settings
    if settings is None:
        yield from (
            Finding("problem", line) for line in request.refused.splitlines() if line.strip()
        )
        return
    run = settings.run
    yield Finding(
        "ok",
        f"valid: data {some(run.datasets)}; networks {some(run.models) or 'none'}; "
        f"classifiers {some(run.classifiers) or 'none'}",
    )
    from darkroom.workflow import checks

    warnings: list[str] = []
    try:
        with contextlib.chdir(request.folder):
            checks.check(settings, say=warnings.append)
            checks.check_shards(settings, say=warnings.append)
    except UserError as error:
        yield Finding("problem", str(error))
    yield from (Finding("note", text) for text in warnings)
