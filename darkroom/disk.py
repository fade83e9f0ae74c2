"""Disc space and small files: words for a full disc, JSON written whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from darkroom.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def size_text(n: float) -> str:
    """Bytes for people, in powers of 1000: `62.2 MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            break
        n /= 1000
    return f"{n:.0f} {unit}" if unit == "B" or n >= 99.95 else f"{n:.1f} {unit}"


def require(folder: str, needed: int, what: str) -> None:
    """Ask for free space before work that is known to need it.

    Parameters
    ----------
    folder : an existing folder of the disc. needed : bytes. what : words for what needs them.

    Raises
    ------
    UserError
        Less is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"no space: {what} needs {size_text(needed)} and the disc of {Path(folder).absolute()}"
            f" has {size_text(free)} free; free some, or run in a folder of another disc"
            " (snakemake --directory)"
        )


@contextmanager
def full_disc_in_words(folder: str) -> Iterator[None]:
    """Turn the system's `no space left` (or quota) into a sentence that names the disc.

    Raises
    ------
    UserError
        The block failed for want of space; any other error passes unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = size_text(shutil.disk_usage(folder).free)
        raise UserError(
            f"no space: writing below {Path(folder).absolute()} stopped because the disc (or your"
            f" quota) is full, with {free} free; free some and run the same command again"
        ) from None


def write_json(path: str, value: Any) -> None:
    """Write a JSON file beside its place and rename it: it is never seen half-written."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name.lstrip('.')}.part")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
    beside.replace(place)


def read_json(path: str) -> dict[str, Any]:
    """A JSON object from a file; empty where the file is missing or is not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
