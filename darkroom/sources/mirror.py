"""The folder `mirror`, which is searched before the network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from darkroom.errors import UserError
from darkroom.sources.addresses import local_path


def find(mirror: str | None, names: Iterable[str]) -> Path | None:
    """The first of some files that the mirror has; None where there is none, or no mirror.

    Raises
    ------
    UserError
        The mirror is no folder.
    """
    if not mirror:
        return None
    folder = local_path(mirror)
    if not folder.is_dir():
        raise UserError(
            f"mirror is {mirror!r}: there is no such folder (looked for {folder.absolute()})"
        )
    return next((folder / name for name in names if (folder / name).is_file()), None)


def hint(mirror: str | None, name: str, what: str = "the file") -> str:
    """What can be done where a file cannot be downloaded, for messages."""
    if mirror:
        return f"put {what} into the mirror {mirror} as {name}"
    return f"put {what} as {name} into a folder and name that folder as mirror in the config"
