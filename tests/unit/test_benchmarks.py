"""Benchmarks that read images print their tables, and the stages that one measures exist."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import fuzz, scale
from darkroom import ROOT


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve JPEG files of 32×32."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / name).mkdir()
        for i in range(12):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / name / f"{i}.jpg"), pixels)
    return folder


def test_the_measured_stages_exist() -> None:
    for path in (scale.FIT, *scale.FUNCTIONS.values()):
        module, _, function = f"darkroom.{path}".rpartition(".")
        assert callable(getattr(importlib.import_module(module), function)), path
    settings = scale.settings(None)
    assert scale.FUNCTIONS.keys() <= settings.keys()


@pytest.mark.parametrize(("name", "more"), [("input", []), ("training", ["--images", "20"])])
def test_a_benchmark_ends_with_a_table_of_both(images: Path, name: str, more: list[str]) -> None:
    words = [sys.executable, "-m", f"benchmarks.{name}", "--data", str(images), "--rounds", "1"]
    done = subprocess.run([*words, *more], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert any("Darkroom" in row for row in rows[1:])
    assert any("Darkroom" not in row for row in rows[1:])


def test_damaged_files_are_counted() -> None:
    files = fuzz.originals()
    row = [cell.strip() for cell in fuzz.fuzz("png", files["png"], range(60)).split("|")[1:-1]]
    kind, mutants, crashed, slow, refused, same, changed, *_ = row
    assert (kind, mutants, crashed, slow, changed) == ("png", "60", "0", "0", "0")
    assert int(refused) + int(same) == 60 and int(refused) > 50
    row = [cell.strip() for cell in fuzz.fuzz("bmp", files["bmp"], range(60)).split("|")[1:-1]]
    assert int(row[6]) > 0  # a BMP has no checksum
    assert fuzz.mutant(files["png"], 3, b"") == fuzz.mutant(files["png"], 3, b"")
