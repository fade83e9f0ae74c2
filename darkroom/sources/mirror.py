"""The `mirror`, which is searched before the network: a folder, or the address of one on a server."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from darkroom.errors import UserError
from darkroom.sources.addresses import local_path, shown

SECONDS = 10  # that a server has to answer


class Served(NamedTuple):
    """A file of a mirror that is a server: its address and its name."""

    address: str
    name: str


def is_address(mirror: str | None) -> bool:
    """Whether a mirror is on a server."""
    return bool(mirror and re.match(r"https?://", mirror, re.I))


def check(mirror: str | None) -> None:
    """Check that the mirror is there.

    Raises
    ------
    UserError
        There is no such folder, or its server does not answer.
    """
    if not is_address(mirror):
        find(mirror, [])
    elif answer(str(mirror)) is None:
        raise UserError(
            f"mirror is {shown(str(mirror))!r}, which does not answer: correct it, start that server, "
            "or leave mirror out"
        )


def answer(address: str) -> bool | None:
    """Whether a server has a file; None where it does not answer. Proxies of the environment are used."""
    import requests

    from darkroom.sources import http

    try:
        with http.session() as session:
            return session.head(address, timeout=SECONDS, allow_redirects=True).ok
    except requests.RequestException:
        return None


def find(mirror: str | None, names: Iterable[str]) -> Path | None:
    """The first of some files that a mirror that is a folder has; None where there is none.

    Raises
    ------
    UserError
        There is no such folder.
    """
    if not mirror or is_address(mirror):
        return None
    folder = local_path(mirror)
    if not folder.is_dir():
        raise UserError(
            f"mirror is {mirror!r}: there is no such folder (looked for {folder.absolute()})"
        )
    return next((folder / name for name in names if (folder / name).is_file()), None)


def served(mirror: str | None, names: Iterable[str]) -> Served | None:
    """The first of some files that a mirror on a server has; None where there is none."""
    if not is_address(mirror):
        return None
    base = str(mirror).rstrip("/")
    found = (Served(f"{base}/{quote(name)}", name) for name in names)
    return next((one for one in found if answer(one.address)), None)


def hint(mirror: str | None, name: str, what: str = "the file") -> str:
    """What can be done where a file cannot be downloaded, for messages."""
    if mirror:
        return f"put {what} into the mirror {shown(mirror)} as {name}"
    return f"put {what} as {name} into a folder and name that folder as mirror in the config"
