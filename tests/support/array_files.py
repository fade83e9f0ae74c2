"""What Darkroom writes from the array files of a folder, or the sentence that it ends with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.sources import arrays, published


def paths(root: Path) -> list[str]:
    return [p.relative_to(root).as_posix() for p in sorted(root.rglob("*")) if p.is_file()]


def written(root: Path, chosen: str | None = None, **limits: int) -> dict[str, np.ndarray]:
    """Path -> pixels of what is written from the array files of a folder."""
    found = published.find(str(root), paths(root), chosen=chosen)
    assert found is not None
    target = root.parent / "written"
    told = arrays.write(found, str(target), **{"max_bytes": 10**9, "max_files": 10**6, **limits})
    out = {p: cv2.imread(str(target / p), cv2.IMREAD_UNCHANGED) for p in paths(target)}
    assert told.files == len(out)
    assert told.bytes == sum((target / p).stat().st_size for p in out)
    return out


def refused(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        written(root)
    said = str(caught.value)
    assert "\n" not in said
    return said
