"""What one run found out, for the next: kept by a digest of all that it was found from.

In Snakemake's own folder, so it goes with it; where it is lost or cannot be written, it is
found out again. Standard library only: it is read while the Snakefile is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

MOST = 1000  # facts kept: two of each data set and configuration


def key(*of: Any) -> str:
    """Digest of what a fact was found from; JSON values."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:32]


def recall(key: str) -> Any:
    """The fact of a key, a JSON value; None where none is known."""
    return _all().get(key)


def keep(key: str, fact: Any) -> None:
    """Keep a fact, a JSON value, and forget the oldest of many."""
    facts = {**_all(), key: fact}
    facts = dict(list(facts.items())[-MOST:])
    write(_place(), facts)


def write(place: Path, value: Any) -> None:
    """Write a JSON file at once; where it cannot be written, nothing new stays and nothing is said."""
    part = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(value), encoding="utf-8")
        part.replace(place)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _place() -> Path:
    return Path(".snakemake") / "darkroom-facts.json"


def _all() -> dict[str, Any]:
    try:
        found = json.loads(_place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
