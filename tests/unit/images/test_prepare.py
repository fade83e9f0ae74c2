"""Prepared images: geometry, filters, sums, and a file that is whole or not there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from darkroom.config.dataset import Layout
from darkroom.errors import UserError
from darkroom.images import store
from darkroom.images.prepare import prepare_images
from darkroom.images.resize import resize_into
from darkroom.index.manifest import index_files
from darkroom.predict import unseen
from tests.support.awful import sixteen_bit_png
from tests.support.indexed import POLICY, indexed
from tests.support.pictures import class_folders
from tests.support.waiting import until

VIEW = {"size": 16, "color": "rgb", "resize": "squash", "filter": "auto"}


def prepare(folder: Path, out: Path, threads: int = 1, **view: object) -> store.Images:
    source, manifest = indexed(folder, out)
    cfg = {"view": VIEW | view, "decode": POLICY}
    prepare_images(source, manifest, str(out / "v.h5"), cfg=cfg, threads=threads)
    return store.open_images(str(out / "v.h5"))


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def resize(
    image: np.ndarray, h: int, w: int, how: str = "squash", kernel: str = "auto"
) -> np.ndarray:
    out = np.full((h, w, image.shape[2]), 99, np.uint8)
    resize_into(image, out, how=how, kernel=kernel)
    return out


# ---------------------------------------------------------------- resize


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kernel", "size", "method"),
    [
        ("auto", (11, 13), cv2.INTER_AREA),
        ("auto", (80, 90), cv2.INTER_LINEAR),
        ("auto", (40, 20), cv2.INTER_AREA),
        ("linear", (11, 13), cv2.INTER_LINEAR),
        ("linear", (80, 20), cv2.INTER_LINEAR),
        ("area", (80, 90), cv2.INTER_AREA),
        ("area", (11, 13), cv2.INTER_AREA),
    ],
)
def test_squash_is_what_opencv_gives(
    kernel: str, size: tuple[int, int], method: int, channels: int
) -> None:
    image = noise(40, 50, channels)
    plain = cv2.resize(image, size[::-1], interpolation=method).reshape(*size, channels)
    assert np.array_equal(resize(image, *size, kernel=kernel), plain)


def test_auto_averages_the_axis_that_shrinks_only() -> None:
    image = noise(8, 64)
    made = resize(image, 32, 16)
    averaged = np.rint(image.reshape(8, 16, 4, 3).mean(axis=2)).astype(np.uint8)
    want = cv2.resize(averaged, (16, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(made.astype(int) - want).max() <= 1


def test_area_keeps_the_mean_and_linear_aliases() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert resize(stripes, 8, 8).std() == 0 and resize(stripes, 8, 8).mean() == 100
    thin = np.zeros((64, 64, 1), np.uint8)
    thin[:, ::8] = 200
    assert resize(thin, 8, 8, kernel="linear").mean() != pytest.approx(25, abs=5)


def test_an_image_of_the_right_size_is_copied() -> None:
    image = noise(9, 7)
    for how in ("squash", "pad", "crop"):
        assert np.array_equal(resize(image, 9, 7, how=how), image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "inner"), [((20, 40), (slice(4, 12), slice(0, 16))), ((40, 10), (slice(0, 16), slice(6, 10)))]
)  # fmt: skip
def test_pad_centres_the_whole_image_on_black(
    size: tuple[int, int], inner: tuple[slice, slice], channels: int
) -> None:
    image = np.full((*size, channels), 200, np.uint8)
    made = resize(image, 16, 16, how="pad")
    assert (made[inner] == 200).all()
    made[inner] = 0
    assert not made.any()


def test_pad_keeps_the_picture() -> None:
    image = noise(20, 40)
    made = resize(image, 16, 16, how="pad")
    assert np.array_equal(made[4:12], cv2.resize(image, (16, 8), interpolation=cv2.INTER_AREA))


def test_pad_of_an_extreme_shape_keeps_a_line() -> None:
    made = resize(np.full((2, 500, 3), 255, np.uint8), 16, 16, how="pad")
    assert (made.max(axis=(1, 2)) == 255).sum() == 1


@pytest.mark.parametrize(
    ("size", "target", "part"),
    [
        ((20, 40), (10, 10), (slice(0, 20), slice(10, 30))),
        ((40, 10), (5, 5), (slice(15, 25), slice(0, 10))),
        ((30, 30), (5, 10), (slice(7, 22), slice(0, 30))),
    ],
)
def test_crop_takes_the_largest_centred_part(
    size: tuple[int, int], target: tuple[int, int], part: tuple[slice, slice]
) -> None:
    image = noise(*size)
    want = cv2.resize(image[part], target[::-1], interpolation=cv2.INTER_AREA)
    assert np.array_equal(resize(image, *target, how="crop"), want)


# ---------------------------------------------------------------- the stage


def test_every_usable_image_is_there_once(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "in", per_class=9)
    made = prepare(folder, tmp_path / "out", size=[12, 10], filter="linear")
    files = sorted(folder.rglob("*.png"))
    assert made.images.shape == (27, 12, 10, 3)
    assert made.row.tolist() == list(range(27)) and not made.variant.any()
    assert [made.labels[i] for i in made.label] == [f.parent.name for f in files]
    assert made.variants == ["original"] and made.dataset == "tiny"
    assert made.view == VIEW | {"size": [12, 10], "filter": "linear"}
    assert made.decode == POLICY
    for image, file in zip(made.images, files, strict=True):
        plain = cv2.resize(cv2.imread(str(file)), (10, 12))
        assert np.array_equal(image, plain[..., ::-1])


def test_sums_are_those_of_the_pixels(tmp_path: Path) -> None:
    made = prepare(class_folders(tmp_path / "in", per_class=3), tmp_path / "out")
    pixels = made.images.astype(np.float64)
    assert np.allclose(made.mean, pixels.mean(axis=(1, 2)), rtol=1e-13)
    assert np.allclose(made.mean_square, (pixels**2).mean(axis=(1, 2)), rtol=1e-12)


def test_gray_has_one_channel(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "in", per_class=2)
    made = prepare(folder, tmp_path / "out", color="gray", size=[7, 9], filter="linear")
    assert made.images.shape == (6, 7, 9, 1) and made.mean.shape == (6, 1)
    file = sorted(folder.rglob("*.png"))[3]
    gray = cv2.resize(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), (9, 7))
    assert np.abs(made.images[3, :, :, 0].astype(int) - gray).max() <= 1


def test_unusable_rows_are_left_out(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "in", per_class=4)
    (folder / "cross" / "001.png").write_bytes(b"broken")
    (folder / "readme.txt").write_text("not an image")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    bad = {i for i, f in enumerate(files) if f.name in ("001.png", "readme.txt")} - {5, 9}
    status = ["unusable" if i in bad else "converted" if i % 2 else "ok" for i in range(13)]
    labels = [None if f.suffix == ".txt" else f.parent.name for f in files]
    source, manifest = indexed(folder, tmp_path / "out", status=status, label=labels)
    output = str(tmp_path / "out" / "v.h5")
    prepare_images(source, manifest, output, cfg={"view": VIEW, "decode": POLICY})
    made = store.open_images(output)
    assert made.row.tolist() == [i for i in range(13) if i not in bad]
    assert [made.labels[i] for i in made.label] == [labels[i] for i in made.row]


def test_a_large_jpeg_is_as_good_as_by_the_full_decode(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "a"
    folder.mkdir(parents=True)
    y, x = np.mgrid[0:900, 0:1200]
    smooth = np.stack([x / 5, y / 4, (x + y) / 9], -1)
    picture = (smooth + noise(900, 1200, 3) * 0.05).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / "1.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    made = prepare(tmp_path / "in", tmp_path / "out", size=32).images[0]
    full = cv2.imread(str(folder / "1.jpg"))[..., ::-1]
    want = cv2.resize(full, (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(made.astype(int) - want).max() <= 3
    plain = prepare(tmp_path / "in", tmp_path / "out", size=32, filter="linear").images[0]
    assert np.array_equal(plain, cv2.resize(full, (32, 32)))


@pytest.mark.parametrize("how", ["squash", "pad", "crop"])
def test_the_number_of_workers_changes_no_byte(tmp_path: Path, how: str) -> None:
    folder = class_folders(tmp_path / "in", per_class=10)
    files = []
    for threads in (1, 2, 3):
        prepare(folder, tmp_path / "out", threads=threads, resize=how, size=[20, 14])
        files.append((tmp_path / "out" / "v.h5").read_bytes())
    assert files[0] == files[1] == files[2]


def test_nothing_usable_is_told(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "in", per_class=1)
    source, manifest = indexed(folder, tmp_path / "out", status=["unusable"] * 3)
    with pytest.raises(UserError, match="no usable image"):
        prepare_images(
            source, manifest, str(tmp_path / "v.h5"), cfg={"view": VIEW, "decode": POLICY}
        )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("change", ["gone", "longer", "shorter", "other"])
def test_a_file_changed_since_the_index_is_named(tmp_path: Path, change: str, threads: int) -> None:
    folder = class_folders(tmp_path / "in", per_class=4)
    source, manifest = indexed(folder, tmp_path / "out")
    file = folder / "disc" / "002.png"
    data = file.read_bytes()
    if change == "gone":
        file.unlink()
    else:
        new = {"longer": data + b"x", "shorter": data[:-1], "other": b"x" * len(data)}
        file.write_bytes(new[change])
    cfg = {"view": VIEW, "decode": POLICY}
    with pytest.raises(UserError, match=r"disc/002\.png has changed.*restore it, or delete"):
        prepare_images(source, manifest, str(tmp_path / "v.h5"), cfg=cfg, threads=threads)
    assert not list(tmp_path.glob("*.h5")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_source_that_cannot_be_read_is_not_said_to_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """To index anew would not help."""
    source, manifest = indexed(class_folders(tmp_path / "in", per_class=4), tmp_path / "out")
    cfg = {"view": VIEW, "decode": POLICY}

    def lost(*_: object) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "read", lost)
    with pytest.raises(UserError, match=r"\d\.png is no longer known to the file server"):
        prepare_images(source, manifest, str(tmp_path / "v.h5"), cfg=cfg, threads=threads)


# ---------------------------------------------------------------- in a process of its own

RUN = """
import json, sys
from darkroom.images.prepare import prepare_images
source, manifest, output, cfg, threads = sys.argv[1:]
prepare_images(source, manifest, output, cfg=json.loads(cfg), threads=int(threads))
"""
PEAK = """
status = open("/proc/self/status").read()  # ru_maxrss would count the process that forked this
print(int(status.split("VmHWM:")[1].split()[0]), "pandas" in sys.modules)
"""


def command(folder: Path, out: Path, script: str, threads: int, **view: object) -> list[str]:
    source, manifest = indexed(folder, out)
    cfg = json.dumps({"view": VIEW | view, "decode": POLICY})
    return [sys.executable, "-c", script, source, manifest, str(out / "v.h5"), cfg, str(threads)]


def test_killed_at_any_moment_nothing_half_written_stands(tmp_path: Path) -> None:
    folder, out = class_folders(tmp_path / "in", per_class=60), tmp_path / "out"
    size = {"size": 256}
    line = command(folder, out, RUN, 2, **size)
    killed = tried = 0
    while tried < 3 or not killed:  # on a busy machine a process may end before it is killed
        delay = (0.0, 0.02, 0.06)[tried % 3]
        process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
        until(lambda p=process: (out / ".v.h5.part").exists() or p.poll() is not None)
        time.sleep(delay)
        process.kill()
        killed += process.wait() != 0
        tried += 1
        assert (out / "v.h5").exists() == (process.returncode == 0) and tried < 30
        (out / "v.h5").unlink(missing_ok=True)
    subprocess.run(line, check=True, stderr=subprocess.DEVNULL)
    assert {p.name for p in out.iterdir()} == {"manifest.parquet", "source.json", "v.h5"}
    again = store.open_images(str(out / "v.h5")).images[:].copy()
    assert np.array_equal(again, prepare(folder, tmp_path / "calm", **size).images)


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """160 images of 224 pixels are 24 MB, 640 are 96 MB: the peak may differ by far less."""
    folder = tmp_path / "in" / "a"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "0.png"), noise(40, 40))
    peaks = []
    for n in (160, 640):
        for i in range(n):
            if not (file := folder / f"{i}.png").exists():
                os.link(folder / "0.png", file)
        line = command(tmp_path / "in", tmp_path / "out", RUN + PEAK, 1, size=224)
        told = subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()
        assert told[1] == "False", "pandas takes longer to load than the images"
        peaks.append(int(told[0]) / 1000)
    assert peaks[1] - peaks[0] < 25, peaks


def test_16_bit_images_and_new_pictures_have_one_recorded_scale(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4000, (2, 16, 16)).astype(np.uint16)
    values[0, 0, 0] = 4000
    values[1] //= 4
    for name, image in zip("ab", values, strict=True):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "1.png").write_bytes(sixteen_bit_png(image))
    source, manifest = str(tmp_path / "source.json"), str(tmp_path / "manifest.parquet")
    Path(source).write_text(json.dumps({"root": str(tmp_path / "d")}))
    cfg = {"dataset": "d", "layout": Layout().model_dump(), "group": None, "decode": POLICY}
    index_files(source, manifest, str(tmp_path / "t.npy"), cfg=cfg, threads=1)
    view = {"size": 16, "color": "gray", "resize": "squash", "filter": "auto"}
    made = str(tmp_path / "images.h5")
    prepare_images(source, manifest, made, cfg={"dataset": "d", "view": view, "decode": POLICY})
    images = store.open_images(made)
    assert (images.images[..., 0] == np.rint(values * 255.0 / 4095)).all()
    assert images.decode == POLICY | {"white_level": 4095}
    new = np.zeros((16, 16, 1), np.uint8)
    path = str(tmp_path / "d/b/1.png")
    said = unseen.examine(path, new, view=view, policy=images.decode)
    assert said == ("converted", "16-bit: 0..4,095 to 0..255")
    assert (new == images.images[1]).all()
    said = unseen.examine(path, new, view=view, policy=POLICY)  # of a data set of 8 bits
    assert said == ("converted", "16-bit: 0..65,535 to 0..255")
    assert (new[..., 0] == np.rint(values[1] / 257)).all()


def test_a_named_pipe_in_place_of_an_indexed_file_is_no_wait(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "d", per_class=2)
    source, manifest = indexed(folder, tmp_path)
    (folder / "disc/000.png").unlink()
    os.mkfifo(folder / "disc/000.png")
    cfg = {"dataset": "d", "view": VIEW, "decode": POLICY}
    with pytest.raises(UserError, match=r"disc/000\.png has changed since it was indexed"):
        prepare_images(source, manifest, str(tmp_path / "v.h5"), cfg=cfg)
