"""The race's figures follow from the two curves, and a thinned archive is an even one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from benchmarks.race import Curve, summary, thinned

PUBLISHED = Curve([100, 200, 300], [0.5, 0.6, 0.7])


def test_the_first_epoch_with_the_published_accuracy_counts() -> None:
    ours = Curve([30, 60, 90, 290, 310], [0.4, 0.75, 0.65, 0.9, 0.95])
    text = summary(PUBLISHED, ours)
    assert "The published network ends at 0.7000 after 300 s." in text
    assert "Ours reaches it after 60 s: 0.200 of the time." in text
    assert "Within the published 300 s ours completes epoch 4 at 0.9000." in text
    assert "| 1 | 100 | 0.5000 | 30 | 0.4000 |" in text
    assert "| 4 |  |  | 290 | 0.9000 |" in text


def test_a_race_that_is_lost_says_so() -> None:
    text = summary(PUBLISHED, Curve([400], [0.6]))
    assert "Ours does not reach this accuracy; it ends at 0.6000." in text
    assert "Ours completes no epoch in that time." in text


@pytest.mark.parametrize(("asked", "expected"), [(10, (10, 2)), (1000, (40, 20))])
def test_a_thinned_archive_has_every_class(
    tmp_path: Path, asked: int, expected: tuple[int, int]
) -> None:
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for part, each in (("train", 8), ("test", 4)):
            for label in "abcde":
                for i in range(each):
                    file.writestr(f"{part}/{label}/{i}.jpg", f"{part}{label}{i}")
    with zipfile.ZipFile(thinned(archive, tmp_path, asked)) as file:
        names = file.namelist()
        assert file.read(names[0]) == b"traina0"
    parts = [n.split("/")[0] for n in names]
    assert (parts.count("train"), parts.count("test")) == expected
    assert {n.split("/")[1] for n in names if n.startswith("train")} == set("abcde")
