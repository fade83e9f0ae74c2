"""Names that look like subjects are found, and no others."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable

import numpy as np
import pytest

from darkroom.index.proposed import propose
from tests.support.listings import read

SUBJECTS: dict[str, tuple[Callable[[int, int], str], str]] = {
    "NIH X-rays": (lambda s, k: f"{s:08d}_{k:03d}.png", "00000007"),
    "patients": (lambda s, k: f"patient{s:02d}_{k}.jpg", "patient07"),
    "sides": (lambda s, k: f"patient{s:02d}_{'left' if k % 2 else 'right'}_{k}.jpg", "patient07"),
    "frames": (lambda s, k: f"clip{s}_frame{25 * k:04d}.jpg", "clip7"),
    "scans": (lambda s, k: f"P{s:03d}-scan{k}.tif", "P007"),
    "chest X-rays": (lambda s, k: f"IM-{s:04d}-{k:04d}.jpeg", "IM-0007"),
    "a second number": (lambda s, k: f"NORMAL2-IM-{s:04d}-{k:04d}.jpeg", "NORMAL2-IM-0007"),
    "copies": (lambda s, k: f"{s}{('', '_flip', '_aug1', '_rot90', '_aug2')[k]}.jpg", "b/7"),
    "Roboflow's": (lambda s, k: f"{s}_jpg.rf.{hashlib.md5(bytes([s, k])).hexdigest()}.jpg", "b/7_jpg"),
    "persons": (lambda s, k: f"person{s}_bacteria_{k}.jpeg", "person7"),
}  # fmt: skip


def of_subjects(name: Callable[[int, int], str]) -> list[str]:
    return [f"{'ab'[s % 2]}/{name(s, k)}" for s in range(40) for k in range(1 + s % 5)]


def test_two_views_of_one_number_are_proposed() -> None:
    eyes = [f"train/{i}_{side}.jpeg" for i in range(100, 140) for side in ("left", "right")]
    found = propose(eyes, 2)
    assert found is not None and found.groups == 40 and found.examples[1] == "100"


@pytest.mark.parametrize("kind", list(SUBJECTS))
def test_subjects_are_proposed_with_an_expression_that_finds_them(kind: str) -> None:
    name, group = SUBJECTS[kind]
    paths = of_subjects(name)
    found = propose(paths, 2)
    assert found is not None
    groups = [m[1] if (m := re.search(found.expression, p)) else None for p in paths]
    assert groups.count(group) == 3  # subject 7 has three images
    assert found.groups == 32 and found.images == 112
    assert len(found.examples[0]) == 3


def clean(random: np.random.Generator) -> dict[str, list[str]]:
    """Names as cameras, tools and people give them, none of which names a subject."""
    n = 400
    some = random.permutation(100_000)[:n].tolist()
    word = "bdfglmnprst"
    words = ["".join(random.choice(list(word), 6)) for _ in range(n)]
    times = [f"{h:02d}{m:02d}{s:02d}" for h, m, s in random.integers(0, [24, 60, 60], (n, 3))]
    return {
        "class.0001": [f"cat.{i:04d}.jpg" for i in range(n)],
        "class_12": [f"dog_{i}.jpg" for i in some],
        "img_0001": [f"img_{i:04d}.png" for i in range(n)],
        "0001": [f"{i:04d}.png" for i in range(n)],
        "DSC_0001": [f"DSC_{i:05d}.JPG" for i in some],
        "image (12)": [f"image ({i}).jpg" for i in range(n)],
        "uuid": [f"{uuid.UUID(bytes=random.bytes(16))}.jpg" for _ in range(n)],
        "hash": [hashlib.md5(str(i).encode()).hexdigest() + ".png" for i in some],
        "phone": [f"IMG_2019{i % 12 + 1:02d}{i % 28 + 1:02d}_{t}.jpg" for i, t in enumerate(times)],
        "synset": [f"n020856{c}_{i}.JPEG" for c, i in zip(random.integers(10, 20, n), some, strict=True)],
        "of 500": [f"img-{i:03d}-of-500.png" for i in range(n)],
        "number_class": [f"{i:05d}_cat.png" for i in range(n)],
        "constant year": [f"set2021_{i:04d}.png" for i in range(n)],
        "batches": [f"batch{i % 5}_{i:04d}.png" for i in range(n)],
        "words": [f"{a}_{b}.png" for a, b in zip(words, words[::-1], strict=True)],
        "word and number": [f"{a}{i}.png" for a, i in zip(words, some, strict=True)],
        "timestamps": [f"{1571230000 + i * 37}_{i}.png" for i in some],
        "places": [f"{a:.4f}_{b:.4f}.png" for a, b in random.uniform(-90, 90, (n, 2))],
        "class index": [f"{i % 10}_{i:04d}.png" for i in range(n)],
        "pages": [f"page{i}.final.png" for i in range(n)],
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_twenty_clean_ways_of_naming_suggest_nothing(seed: int) -> None:
    ways = clean(np.random.default_rng(seed))
    assert len(ways) == 20
    wrong = {
        way: found.examples
        for way, names in ways.items()
        if (found := propose([f"{'ab'[i % 2]}/{name}" for i, name in enumerate(names)], 2))
    }
    assert not wrong


def test_a_listing_says_so_and_takes_them_where_asked() -> None:
    paths = of_subjects(SUBJECTS["patients"][0])
    told = read(paths)
    assert not any(told.group)
    (warning,) = told.warnings
    assert "32 subjects" in warning and "group: auto" in warning and "patient02_1.jpg" in warning
    taken = read(paths, group="auto")
    assert taken.group.count("patient07") == 3
    assert taken.warnings == []
    assert "group: auto takes" in taken.sentence and "40 groups" in taken.sentence
    plain = [f"{'ab'[i % 2]}/{i:04d}.png" for i in range(100)]
    assert not any(read(plain, group="auto").group)
    assert read(plain).warnings == []
