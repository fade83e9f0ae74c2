"""Images for the benchmarks, from archives that are unpacked temporarily."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png"}


@contextmanager
def cifar10_train(data: Path) -> Iterator[Path]:
    """The 50,000 training images of CIFAR-10 as class folders.

    Parameters
    ----------
    data : folder that holds `cifar10.zip`, or the class folders themselves.
    """
    archive = data / "cifar10.zip"
    if not archive.exists():
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="darkroom-benchmark-") as name:
        unpack(archive, Path(name))
        yield Path(name) / "train"


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack a zip archive; return its sorted images."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
