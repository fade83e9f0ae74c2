"""All sections of the doctor, in their order, and how they are printed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.machine import drivers
from darkroom.machine.drivers import Finding
from darkroom.workflow.doctor import (
    computer,
    disks,
    graphics,
    packages,
    profiles,
    run,
    settings,
    sources,
)
from darkroom.workflow.doctor.request import Request
from darkroom.workflow.overlays import read

SECTIONS: dict[str, Callable[[Request], Iterator[Finding]]] = {
    "settings": settings.look,
    "packages": packages.look,
    "GPUs": graphics.look,
    "machine": computer.look,
    "disks": disks.look,
    "sources": sources.look,
    "profiles": profiles.look,
    "forecast": run.look,
}


def examine(
    files: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    root: Path = ROOT,
) -> Iterator[tuple[str, list[Finding]]]:
    """Look at everything, a section at a time: its title and its findings.

    Parameters
    ----------
    files : settings on top of config.yaml, as `snakemake --configfile` takes them.
    values : as its `--config`.
    folder : where a run would work; None: the current one.
    root : the project's folder.
    """
    checked, refused = None, ""
    try:
        checked = read(files, values or {}, root, folder or Path())
    except UserError as error:
        refused = str(error)
    request = Request(checked, refused, folder or Path.cwd(), root, files, values or {})
    for title, look in SECTIONS.items():
        yield title, list(look(request))


def show(
    sections: Iterable[tuple[str, list[Finding]]], write: Callable[[str], Any], width: int | None
) -> int:
    """Write sections as they come.

    Parameters
    ----------
    sections : as `examine` gives them.
    write : called with text.
    width : columns to break lines at; None: they are not broken.

    Returns
    -------
    How many problems there are.
    """
    problems = 0
    for title, findings in sections:
        if not findings:
            continue
        write(f"{title}\n")
        for line in drivers.lines(findings).splitlines():
            if width is not None and line.startswith("  "):
                line = textwrap.fill(
                    line, width, subsequent_indent=" " * 11, break_long_words=False,
                    break_on_hyphens=False, drop_whitespace=True,
                )  # fmt: skip
            write(f"{line}\n")
        problems += sum(finding.level == "problem" for finding in findings)
    return problems
