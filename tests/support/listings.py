"""Bare listings of files, and what is recognised in them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from darkroom.config.dataset import Layout
from darkroom.index.layout import Recognised, recognise


def many(*folders: str, n: int = 4, suffix: str = "jpg") -> list[str]:
    return [f"{f}/{f.rpartition('/')[2]}_{i}.{suffix}" for f in folders for i in range(n)]


def read(
    paths: list[str],
    tables: dict[str, str | bytes] | None = None,
    group: str | None = None,
    **settings: Any,
) -> Recognised:
    tables = tables or {}
    cfg = Layout(**settings).model_dump()
    return recognise(paths + list(tables), cfg, group=group, open_text=tables.__getitem__)


def rows(found: Recognised) -> dict[str, tuple[str | None, str | None]]:
    return {p: (lb, s) for p, lb, s in zip(found.path, found.label, found.split, strict=True)}


def counted(found: Recognised) -> Counter[tuple[str | None, str | None]]:
    return Counter(zip(found.split, found.label, strict=True))
