"""Darkroom: from a set of labelled images to trained classifiers and a report."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: rules, scripts and environments lie there beside this package."""


def __getattr__(name: str) -> Any:
    """`darkroom.open`, by its name: a stage's digest does not cover what it reaches."""
    if name == "open":
        return importlib.import_module("darkroom.reading").open
    raise AttributeError(f"module 'darkroom' has no attribute {name!r}")
