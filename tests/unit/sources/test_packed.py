"""Images in NumPy archives and Parquet files: what is written from them, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from darkroom.sources import published
from darkroom.sources.download import download_source
from darkroom.workflow.sample import sample
from tests.support.array_files import paths, refused, written

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 5, 4), np.uint8)
COLOR = RNG.integers(0, 256, (6, 5, 4, 3), np.uint8)
LABELS = np.array([0, 1, 1, 0, 1, 0])


def save(root: Path, name: str = "x.npz", **arrays: Any) -> Path:
    root.mkdir(exist_ok=True)
    np.savez_compressed(root / name, **arrays)
    return root


# ---------------------------------------------------------------- NumPy archives


def test_the_parts_of_medmnist(tmp_path: Path) -> None:
    parts = {"train": 0, "val": 2, "test": 4}
    arrays = {f"{p}_images": COLOR[i : i + 2] for p, i in parts.items()}
    labels = {f"{p}_labels": LABELS[i : i + 2, None] for p, i in parts.items()}
    files = written(save(tmp_path / "m", **arrays, **labels))
    assert sorted(files) == [
        "test/0/00001.png",
        "test/1/00000.png",
        "train/0/00000.png",
        "train/1/00001.png",
        "validation/0/00001.png",
        "validation/1/00000.png",
    ]
    assert np.array_equal(files["validation/1/00000.png"], COLOR[2][..., ::-1])


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_train": GRAY, "y_train": LABELS},
        {"images": GRAY[..., None], "labels": LABELS.astype(float)},
        {"X": GRAY, "y": np.eye(2)[LABELS]},
    ],
)
def test_other_names_and_forms_of_labels(tmp_path: Path, arrays: dict[str, Any]) -> None:
    files = written(save(tmp_path / "m", **arrays, unrelated=np.zeros(3)))
    assert {p: image.tolist() for p, image in files.items()} == {
        f"train/{label}/{i:05d}.png": GRAY[i].tolist() for i, label in enumerate(LABELS)
    }


def test_labels_that_are_texts_name_the_folders(tmp_path: Path) -> None:
    names = np.array(["cat", "dog/wolf"])[LABELS]
    files = written(save(tmp_path / "m", images=GRAY, labels=names))
    assert {Path(p).parts[1] for p in files} == {"cat", "dog-wolf"}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": GRAY / 255, "labels": LABELS}, r"images holds float64.*unsigned bytes"),
        ({"images": np.zeros((6, 4, 4, 4), np.uint8), "labels": LABELS}, r"\(6, 4, 4, 4\)"),
        ({"images": GRAY, "labels": np.ones((6, 2), int)}, "one label here"),
        ({"images": GRAY, "labels": LABELS[:5]}, "6 images but labels has 5 labels"),
        ({"images": GRAY, "labels": LABELS + 0.5}, "labels are whole numbers or texts"),
        ({"images": GRAY, "labels": LABELS.astype(object)}, "could run code"),
        ({"images": GRAY, "labels": np.array(["a", "A"])[LABELS]}, "differ in their case"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    assert re.search(said, refused(save(tmp_path / "m", **arrays)))


def test_arrays_of_something_else_are_no_images(tmp_path: Path) -> None:
    root = save(tmp_path / "m", weights=GRAY, bias=LABELS)
    assert published.find(str(root), paths(root)) is None


def test_a_truncated_archive_is_told(tmp_path: Path) -> None:
    root = save(tmp_path / "m", images=GRAY, labels=LABELS)
    (root / "x.npz").write_bytes((root / "x.npz").read_bytes()[:-100])
    assert refused(root).startswith("x.npz is damaged")


def test_one_file_is_a_source_and_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = save(tmp_path / "m", images=COLOR, labels=LABELS) / "x.npz"
    limits = {"max_gb": 1.0, "max_files": 100}
    cfg = {"dataset": "d", "source": str(source), "sha256": None, "limits": limits, "root": None}
    download_source("data/d/source.json", cfg=cfg, mirror=None)
    record = json.loads(Path("data/d/source.json").read_text())
    assert record["files"] == 6 and "arrays images and labels" in record["written_from"]
    assert len(list(Path("data/d/files").rglob("*.png"))) == 6
    seen = sample(str(source))
    assert seen is not None and (seen.width, seen.height, seen.gray) == (4, 5, False)


# ---------------------------------------------------------------- Parquet files


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, image)[1].tobytes())


def table(
    path: Path,
    label: list[Any],
    features: dict[str, Any] | None = None,
    column: str = "image",
    images: list[Any] | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = images or [encoded(COLOR[i % 6]) for i in range(len(label))]
    rows = [{"bytes": one, "path": None} for one in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    made = pa.table({column: pa.array(rows, kind), "label": label})
    if features:
        note = {"info": {"features": features}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(note)})
    parquet.write_table(made, path)


NAMED = {"pic": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}


def test_parts_by_file_and_names_of_the_schema(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    table(root / "data/train-00000-of-00002.parquet", [0, 1], NAMED, "pic")
    table(root / "data/train-00001-of-00002.parquet", [1, -1], NAMED, "pic")
    table(root / "data/test-00000-of-00001.parquet", [0], NAMED, "pic")
    files = written(root)
    assert sorted(files) == [
        "test/cat/00000.png",
        "train/cat/00000.png",
        "train/dog/00001.png",
        "train/dog/00002.png",
    ]
    assert np.array_equal(files["train/dog/00002.png"], COLOR[0])
    found = published.find(str(root), paths(root))
    assert found is not None and "1 images without a label left out" in found.sentence


def test_parts_by_folder_and_texts_as_labels(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    for part in ("train", "validation"):
        table(root / f"default/{part}/0000.parquet", ["b", "a"])
    assert sorted(written(root)) == [
        f"{part}/{label}/{i:05d}.png"
        for part in ("train", "validation")
        for label, i in (("a", 1), ("b", 0))
    ]


def test_an_encoded_image_is_written_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    jpeg = encoded(COLOR[0], ".jpg")
    table(root / "x.parquet", [0, 1], images=[jpeg, encoded(COLOR[1])])
    assert set(written(root)) == {"train/0/00000.jpg", "train/1/00001.png"}
    assert (tmp_path / "written/train/0/00000.jpg").read_bytes() == jpeg
    seen = sample(str(root))
    assert seen is not None and (seen.width, seen.height) == (4, 5)


def test_other_parquet_files(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    parquet.write_table(pa.table({"a": [1, 2]}), plain / "x.parquet")
    assert published.find(str(plain), paths(plain)) is None
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    parquet.write_table(pa.table({"image": [b"x"], "caption": ["y"]}), unlabelled / "x.parquet")
    assert "none of its columns (image, caption) is named as a label" in refused(unlabelled)
    outside = tmp_path / "outside"
    table(outside / "x.parquet", ["a", "b"], images=[encoded(COLOR[0]), b""])
    assert "names images that it does not hold" in refused(outside)
    (outside / "x.parquet").write_bytes(b"PAR1 and nothing")
    assert refused(outside).startswith("x.parquet is damaged")


def test_pictures_beside_a_parquet_file_are_the_images(tmp_path: Path) -> None:
    pictures = [f"{label}/{i}.jpg" for label in "ab" for i in range(5)]
    assert not published.claimed([*pictures, "labels.parquet"])
    assert published.claimed(["README.md", "data/train-0.parquet"])
