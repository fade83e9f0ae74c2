"""Small data sets in the true folders and names of published ones, for tests.

Each function writes an archive as its source serves it, litter and broken files included.
The pictures are of shapes that a small network can tell apart.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tests.support.pictures import picture

Files = Iterable[tuple[str, bytes]]
SYNSETS = ("n01440764", "n02102040", "n02979186", "n03000684", "n03028079",
           "n03394916", "n03417042", "n03425413", "n03445777", "n03888257")  # fmt: skip


def jpeg(kind: str, number: int, size: tuple[int, int], *, gray: bool = False) -> bytes:
    """A picture of `tests.support.pictures`, or of a class 0 … 9 by its colour, as a JPEG file."""
    height, width = size
    if kind.isdigit():
        rng = np.random.default_rng([number, int(kind)])
        image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        colour = cv2.cvtColor(np.uint8([[[18 * int(kind), 220, 240]]]), cv2.COLOR_HSV2BGR)[0, 0]
        cv2.circle(image, (width // 2, height // 2), height // 4, [int(c) for c in colour], -1)
    else:
        image = picture(kind, number, size)
    if gray:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return bytes(cv2.imencode(".jpg", image)[1])


def zipped(path: Path, files: Files) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: Files) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def chest_xray(path: Path, counts: tuple[int, int, int] = (24, 30, 36)) -> Path:
    """kaggle:prashant268/chest-xray-covid19-pneumonia: Data/{train,test}/{COVID19,NORMAL,PNEUMONIA}.

    Parameters
    ----------
    counts : images of COVID19, NORMAL, PNEUMONIA; a fifth of each is in test/.
    """

    def files() -> Iterator[tuple[str, bytes]]:
        for label, kind, n in zip(
            ("COVID19", "NORMAL", "PNEUMONIA"), ("disc", "cross", "stripes"), counts, strict=True
        ):
            for i in range(n):
                part = "test" if i % 5 == 0 else "train"
                suffix = "jpg" if i % 3 else "jpeg"
                # some are grey files, most are grey pixels in colour ones; sizes differ
                image = jpeg(kind, i, (40 + i % 9, 48 + i % 7), gray=i % 4 == 0)
                yield f"Data/{part}/{label}/{label}({i}).{suffix}", image

    return zipped(path, files())


def cat_and_dog(path: Path, per_class: int = 30) -> Path:
    """kaggle:tongpython/cat-and-dog: training_set/training_set/{cats,dogs}, test_set/test_set/…."""

    def files() -> Iterator[tuple[str, bytes]]:
        for part in ("training_set", "test_set"):
            for label, kind in (("cats", "disc"), ("dogs", "stripes")):
                yield f"{part}/{part}/{label}/_DS_Store", b"\0\0\0\1Bud1" + bytes(64)
                for i in range(per_class if part == "training_set" else per_class // 3):
                    number = i + 1 if part == "training_set" else 4001 + i
                    name = f"{part}/{part}/{label}/{label[:-1]}.{number}.jpg"
                    yield name, jpeg(kind, number, (40 + i % 9, 48 + i % 7))

    return zipped(path, files())


def pet_images(path: Path, per_class: int = 61) -> Path:
    """Microsoft's kagglecatsanddogs: PetImages/{Cat,Dog}, one empty file in each, Thumbs.db."""

    def files() -> Iterator[tuple[str, bytes]]:
        yield "readme[1].txt", b"This data set is for research."
        yield "MSR-LA - 3467.docx", b"PK not really"
        for label, kind in (("Cat", "disc"), ("Dog", "stripes")):
            yield f"PetImages/{label}/Thumbs.db", bytes(64)
            for i in range(per_class):
                empty = i == 10  # as 666.jpg of the cats and 11702.jpg of the dogs are
                data = b"" if empty else jpeg(kind, i, (40 + i % 9, 48 + i % 7))
                yield f"PetImages/{label}/{i}.jpg", data

    return zipped(path, files())


def imagenette(path: Path, per_class: int = 8) -> Path:
    """imagenette2.tgz: imagenette2/{train,val}/n…/, and a CSV of noisy labels beside them."""

    def files() -> Iterator[tuple[str, bytes]]:
        table = ["path,noisy_labels_0,noisy_labels_1,noisy_labels_5,is_valid"]
        for number, synset in enumerate(SYNSETS):
            for part, n in (("train", per_class), ("val", per_class // 2)):
                for i in range(n):
                    name = f"{part}/{synset}/{synset}_{1000 * (part == 'val') + i}.JPEG"
                    wrong = SYNSETS[(number + i) % 10]
                    table.append(f"{name},{synset},{wrong},{wrong},{part == 'val'}")
                    yield f"imagenette2/{name}", jpeg(str(number), i, (60 + i, 70 - i))
        yield "imagenette2/noisy_imagenette.csv", "\n".join(table).encode()

    return tarred(path, files())


def mnist_png(path: Path, per_class: int = 12) -> Path:
    """Kaggle's MNIST as PNG class folders: mnist_png/{training,testing}/0 … 9."""
    from tests.support.published_layouts import digits

    def files() -> Iterator[tuple[str, bytes]]:
        for part, n in (("training", 10 * per_class), ("testing", 5 * per_class)):
            images, labels = digits(n, seed=len(part))
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                png = bytes(cv2.imencode(".png", image)[1])
                yield f"mnist_png/{part}/{label}/{i}.png", png

    return zipped(path, files())


def cifar10_folders(path: Path, per_class: int = 12) -> Path:
    """CIFAR-10 as class folders: {train,test}/airplane/0001.png …."""
    from tests.support.published_layouts import CIFAR10, objects

    def files() -> Iterator[tuple[str, bytes]]:
        for part, n in (("train", 10 * per_class), ("test", 5 * per_class)):
            images, labels = objects(n, seed=len(part))
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                png = bytes(cv2.imencode(".png", image[:, :, ::-1])[1])
                yield f"{part}/{CIFAR10[label]}/{i:04d}.png", png

    return zipped(path, files())
