"""What the doctor looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from darkroom.config.settings import Settings

SHOWN = 5  # names that are listed before the rest is counted


class Request(NamedTuple):
    """A configuration and where it would run.

    Attributes
    ----------
    settings : checked; None where they are not valid.
    refused : why they are not.
    folder : the working directory of a run.
    root : the project's folder.
    files, values : that the settings were merged from, beside config.yaml.
    """

    settings: Settings | None
    refused: str
    folder: Path
    root: Path
    files: Sequence[str]
    values: Mapping[str, Any]


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
