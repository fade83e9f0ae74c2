"""Which packages are installed, without importing them."""

from __future__ import annotations

import importlib.metadata


def version(package: str) -> str | None:
    """Version of an installed package, by its name on PyPI; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
