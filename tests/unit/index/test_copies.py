"""Copies are found, and what is no copy is not."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from darkroom.index import copies as stage
from darkroom.index.alike import near_copies, turned

Image = NDArray[np.uint8]


def picture(seed: int, height: int = 96, width: int = 128) -> Image:
    """A gray image with the spectrum of a photograph: amplitude over frequency."""
    random = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    waves = random.normal(size=(height, width // 2 + 1, 2)) @ [1, 1j]
    image = np.fft.irfft2(waves / np.maximum(np.hypot(x, y), 1 / width), (height, width))
    low, high = np.quantile(image, [0.02, 0.98])
    return np.clip((image - low) / (high - low) * 200 + 20, 0, 255).astype(np.uint8)


def small(image: Image) -> Image:
    return np.asarray(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA), np.uint8)


def cut(image: Image, left: float, top: float, right: float, bottom: float) -> Image:
    h, w = image.shape
    return image[round(top * h) : h - round(bottom * h), round(left * w) : w - round(right * w)]


def as_jpeg(image: Image, quality: int) -> Image:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


CHANGES: dict[str, tuple[Callable[[Image], Any], str]] = {
    "jpeg": (lambda i: as_jpeg(i, 40), "saved anew"),
    "halved": (lambda i: cv2.resize(i, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), "size"),
    "brighter": (lambda i: cv2.convertScaleAbs(i, alpha=1.2, beta=10), "saved anew"),
    "mirrored": (lambda i: i[:, ::-1], "mirrored"),
    "turned": (lambda i: np.rot90(i), "turned"),
    "turned and mirrored": (lambda i: np.rot90(i, 3)[:, ::-1], "turned, mirrored"),
    "middle": (lambda i: cut(i, 0.025, 0.025, 0.025, 0.025), "cropped"),
    "corner": (lambda i: cut(i, 0.05, 0.05, 0, 0), "cropped"),
    "corner, mirrored": (lambda i: as_jpeg(cut(i, 0, 0.05, 0.05, 0)[:, ::-1], 75), "mirrored, cropped"),
}  # fmt: skip


def found(images: list[Image], **changes: Any) -> pd.DataFrame:
    """Copies among images, as a table."""
    n = len(images)
    given: dict[str, Any] = {
        "thumbnails": np.array([small(i) for i in images]),
        "sizes": np.array([i.shape[::-1] for i in images], np.int64),
        "duplicate_of": np.full(n, -1),
        "usable": np.ones(n, bool),
    }
    columns = stage.copies(**given | changes)
    return pd.DataFrame(
        dict(zip(("row", "of", "kind", "how", "likeness"), columns, strict=True))
    ).set_index("row")


def test_each_planted_copy_is_found_and_nothing_else() -> None:
    originals = [picture(i) for i in range(150)]
    made, expected = list(originals), {}
    for k, (change, words) in enumerate(CHANGES.values()):
        for i in range(5 * k, 5 * k + 5):
            expected[len(made)] = (i, words)
            made.append(np.ascontiguousarray(change(originals[i])))
    table = found(made)
    assert table["of"].to_dict() == {row: of for row, (of, _) in expected.items()}
    assert set(table["kind"]) == {"near"} and (table["likeness"] > 0.85).all()
    wrong = [row for row, (_, words) in expected.items() if words not in table["how"][row]]
    assert len(wrong) <= 3, table.loc[wrong]


@pytest.mark.parametrize("n", [1, 2, 6, 15, 30])
def test_few_images_have_copies_too(n: int) -> None:
    images = [picture(i) for i in range(n)]
    table = found([*images, np.ascontiguousarray(images[0][:, ::-1])])
    assert table["of"].to_dict() == {n: 0}


def test_two_threads_find_the_same() -> None:
    made = [picture(i) for i in range(300)] + [as_jpeg(picture(i), 60) for i in range(40)]
    thumbnails = np.array([small(i) for i in made])
    one, two = near_copies(thumbnails, 1), near_copies(thumbnails, 2)
    assert one.first.tolist() == two.first.tolist() == list(range(40))
    assert one.second.tolist() == two.second.tolist() == list(range(300, 340))


def test_copies_of_the_first_images_alone_may_be_asked_for() -> None:
    own = [picture(i) for i in range(120)]
    mine = [as_jpeg(own[3], 60), np.ascontiguousarray(own[7][:, ::-1]), picture(999)]
    theirs = [*own, as_jpeg(own[50], 60)]
    assert found([*mine, *theirs])["of"].to_dict() == {6: 0, 10: 1, 123: 53}
    assert found([*mine, *theirs], first_of=3)["of"].to_dict() == {6: 0, 10: 1}


def test_handwritten_digits_are_no_copies_of_each_other() -> None:
    digits = [(image * 15.9375).astype(np.uint8) for image in load_digits().images]
    assert found(digits).empty
    table = found([*digits, digits[7], digits[8][:, ::-1]])
    assert table["of"].to_dict() == {1797: 7}  # too small for any but equal pixels
    assert table["kind"].tolist() == ["pixels"]
    large = [cv2.resize(d, (64, 64), interpolation=cv2.INTER_CUBIC) for d in digits]
    assert len(found(large)) < 0.02 * len(large)


def test_outlines_that_are_all_alike_among_other_images_are_no_copies() -> None:
    """Trousers on a plain ground beside pictures that differ, one of them mirrored."""
    random = np.random.default_rng(1)
    others = [picture(seed) for seed in range(300)]
    trousers = []
    for _ in range(60):
        drawn = np.zeros((256, 256), np.uint8)
        for left in (80, 144):
            ends = np.array([[left, 16], [left + 40, 240]]) + random.normal(0, 2.5, (2, 2))
            first, last = ends.astype(int).tolist()
            cv2.rectangle(drawn, first, last, int(random.integers(150, 250)), -1)
        trousers.append(drawn)
    table = found([*others, *trousers, others[0][:, ::-1]])
    assert table["of"][360] == 0 and len(table) <= 3


def test_images_that_show_nothing_are_no_copies() -> None:
    random = np.random.default_rng(0)
    blank = [np.full((80, 80), g, np.uint8) for g in (0, 0, 128, 255)]
    ramps = [np.tile(np.linspace(a, 200, 80), (80, 1)).astype(np.uint8) for a in (0, 3, 5)]
    noise = [random.normal(128, 20, (300, 300)).clip(0, 255).astype(np.uint8) for _ in range(30)]
    assert found(blank + ramps + noise).empty
    table = found(blank, duplicate_of=np.array([-1, 0, -1, -1]))
    assert table[["of", "kind"]].to_numpy().tolist() == [[0, "bytes"]]


def test_a_set_is_named_by_its_first_usable_image() -> None:
    a = picture(1)
    others = [picture(i) for i in range(2, 40)]
    images = [*others, a, a, a.copy(), as_jpeg(a, 50), np.ascontiguousarray(a[:, ::-1])]
    n = len(others)
    duplicate_of = np.full(len(images), -1)
    duplicate_of[n + 1] = n
    table = found(images, duplicate_of=duplicate_of)
    assert table["of"].to_dict() == dict.fromkeys(range(n + 1, n + 5), n)
    assert table["kind"].tolist() == ["bytes", "pixels", "near", "near"]
    usable = np.ones(len(images), bool)
    usable[n] = False
    assert set(found(images, duplicate_of=duplicate_of, usable=usable)["of"]) == {n + 1}


def test_frames_of_a_long_video_are_no_copies_of_one_picture(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wide = picture(0, 96, 1200)
    frames = [wide[:, 4 * i : 4 * i + 128] for i in range(200)]
    with caplog.at_level(logging.WARNING):
        table = found(frames + [picture(i) for i in range(1, 200)])
    assert table.empty
    assert "in a chain" in caplog.text


def test_turns_are_those_of_a_square() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    all_ = {turned(image, turn).tobytes() for turn in range(8)}
    assert len(all_) == 8
    assert {np.rot90(image[0], k).tobytes() for k in range(4)} <= all_


def test_the_table_for_people_has_both_labels(tmp_path: Path) -> None:
    images = [picture(i) for i in range(30)] + [as_jpeg(picture(3), 50)]
    np.save(tmp_path / "t.npy", np.array([small(i) for i in images]))
    n = len(images)
    pd.DataFrame(
        {
            "path": [f"cat/{i}.jpg" for i in range(n - 1)] + ["dog/=1.jpg"],
            "label": ["cat"] * (n - 1) + ["dog"],
            "split": ["train"] * (n - 1) + ["test"],
            "width": pd.array([128] * n, "Int32"),
            "height": pd.array([96] * n, "Int32"),
            "duplicate_of": pd.array([None] * n, "Int64"),
            "status": "ok",
        }
    ).to_parquet(tmp_path / "m.parquet")
    stage.find_copies(
        str(tmp_path / "m.parquet"), str(tmp_path / "t.npy"), str(tmp_path / "c.parquet"),
        table=str(tmp_path / "c.csv"), cfg={"dataset": "d"}, threads=1,
    )  # fmt: skip
    with (tmp_path / "c.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == "dog/=1.jpg" and row["copy_of"] == "cat/3.jpg"
    assert row["label"], row["label_of"] == ("dog", "cat")
    assert (row["other_label"], row["split"], row["split_of"]) == ("yes", "test", "train")
    made = pd.read_parquet(tmp_path / "c.parquet")
    assert made[["row", "of", "kind"]].to_numpy().tolist() == [[30, 3, "near"]]
