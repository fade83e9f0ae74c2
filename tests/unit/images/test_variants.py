"""Variants: the arithmetic saturates, draws depend on nothing else, training rows only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from darkroom.config.dataset import Augment
from darkroom.errors import UserError
from darkroom.images import store, variants
from darkroom.images.prepare import prepare_images
from tests.support.indexed import POLICY, indexed
from tests.support.pictures import class_folders

ALL = [
    {"power_law": {"gamma": 0.4}},
    {"power_law": {"gamma": 0.55, "scale": 2}},
    "mean",
    "high_boost",
    "canny",
    "flip",
    {"flip": "vertical"},
    {"rotate": {"degrees": 20, "copies": 2}},
    "zoom",
    "shift",
    {"shear": 0.3},
]


def settings(variants: list[Any]) -> list[dict[str, dict[str, Any]]]:
    checked = Augment(variants=variants).variants
    return [v.model_dump(mode="json", exclude_none=True) for v in checked]


def ramp(channels: int = 1) -> np.ndarray:
    return np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), channels, axis=2)


def noise(height: int = 12, width: int = 15, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8)


# ---------------------------------------------------------------- filters by value


@pytest.mark.parametrize("gamma", [0.4, 0.55])
def test_power_law_is_the_formula(gamma: float) -> None:
    made = variants.power_law(ramp(3), gamma)
    want = 255 * (ramp(3) / 255) ** gamma
    assert np.abs(made - want).max() <= 0.5
    assert made[0, 0, 0] == 0 and made[-1, -1, 0] == 255


def test_power_law_saturates() -> None:
    made = variants.power_law(ramp(), 1, scale=3).ravel()
    assert made[:86].tolist() == [3 * r for r in range(86)] and (made[86:] == 255).all()


def test_mean_is_the_average_of_the_mask() -> None:
    image = noise()
    made = variants.mean(image, 3)
    want = image[3:6, 4:7].astype(float).mean(axis=(0, 1))
    assert np.abs(made[4, 5] - want).max() <= 0.5
    assert np.array_equal(variants.mean(np.full((4, 4, 1), 9, np.uint8)), np.full((4, 4, 1), 9))


def test_high_boost_saturates_and_leaves_flat_parts() -> None:
    image = np.full((9, 9, 1), 10, np.uint8)
    image[:, 5:] = 250
    made = variants.high_boost(image, amount=3, size=3)[4, :, 0].astype(int)
    # The means of the columns beside the edge are 90 and 170: 10 - 3 * 80 and 250 + 3 * 80.
    assert made.tolist() == [10, 10, 10, 10, 0, 255, 250, 250, 250]


def test_high_boost_is_the_formula_where_nothing_saturates() -> None:
    image = (noise() // 8 + 110).astype(np.uint8)
    made = variants.high_boost(image, amount=0.5, size=3)
    source = image.astype(float)
    blurred = cv2.blur(source, (3, 3))
    assert np.abs(made - (source + 0.5 * (source - blurred))).max() <= 0.501


@pytest.mark.parametrize("channels", [1, 3])
def test_canny_edges_are_white(channels: int) -> None:
    image = np.full((20, 20, channels), 30, np.uint8)
    image[:, 10:] = 220
    made = variants.canny(image)
    edge = made[10, :, 0] == 255
    assert edge.sum() == 1 and edge[9:11].any()
    assert np.array_equal(made[10, ~edge], image[10, ~edge])  # and no r + 255 wrapped to r - 1


# ---------------------------------------------------------------- filters by place


def test_flip() -> None:
    image = noise()
    assert np.array_equal(variants.flip(image), image[:, ::-1])
    assert np.array_equal(variants.flip(image, "vertical"), image[::-1])


def test_warp_by_known_matrices() -> None:
    image = noise(9, 9, 1)
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])  # x to the top: against the clock
    assert np.array_equal(variants.warp(image, quarter), np.rot90(image))
    assert np.array_equal(variants.warp(image, np.eye(2)), image)
    moved = variants.warp(image, np.eye(2), (2, 1))
    assert np.array_equal(moved[1:, 2:], image[:-1, :-2])
    assert np.array_equal(moved[1:, 1], image[:-1, 0])  # the border is reflected
    assert np.array_equal(moved[1:, 0], image[:-1, 1])


class Fixed:
    """Draws the upper end of each range."""

    def uniform(self, low: float, high: float, size: int | None = None) -> Any:
        return high if size is None else np.full(size, high)


def test_draws_stay_within_their_settings() -> None:
    dot = np.zeros((41, 41, 1), np.uint8)
    dot[20, 30] = 255  # ten to the right of the centre
    place = {}
    for name, amount in (("rotate", 90), ("zoom", 0.5), ("shift", 0.2)):
        made = getattr(variants, name)(dot, amount, Fixed())
        place[name] = np.unravel_index(made.argmax(), made.shape)[:2]
    assert place["rotate"] == (10, 20) and place["zoom"] == (20, 35)
    assert place["shift"] == (28, 38)
    dot = np.zeros((41, 41, 1), np.uint8)
    dot[30, 20] = 255
    made = variants.shear(dot, 0.5, Fixed())  # type: ignore[arg-type]
    assert np.unravel_index(made.argmax(), made.shape)[:2] == (30, 25)


# ---------------------------------------------------------------- the stage


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """24 images in three classes of eight; the first two of each are given as test."""
    root = tmp_path_factory.mktemp("data")
    folder = class_folders(root / "in", per_class=8)
    split = ["test" if i % 8 < 2 else None if i % 8 < 5 else "train" for i in range(24)]
    source, manifest = indexed(folder, root, split=split)
    view = {"size": [14, 18], "color": "rgb", "resize": "squash", "filter": "auto"}
    output = str(root / "v.h5")
    prepare_images(source, manifest, output, cfg={"view": view, "decode": POLICY})
    return output, manifest


def augmented(prepared: tuple[str, str], out: Path, threads: int = 1, **cfg: Any) -> store.Images:
    defaults = {
        "dataset": "tiny",
        "variants": settings(ALL),
        "labels": None,
        "seed": 3,
        "given": "use",
    }
    path = str(out / "a.h5")
    variants.augment_images(*prepared, path, cfg=defaults | cfg, threads=threads)
    return store.open_images(path)


def test_each_row_has_its_variants(prepared: tuple[str, str], tmp_path: Path) -> None:
    made, originals = augmented(prepared, tmp_path), store.open_images(prepared[0])
    parents = [r for r in range(24) if r % 8 >= 2]
    assert made.row.tolist() == [r for r in parents for _ in range(12)]
    assert made.variant.tolist() == list(range(1, 13)) * 18
    assert np.array_equal(made.label, originals.label[made.row])
    assert made.labels == originals.labels and made.view == originals.view
    assert made.variants == [
        "original",
        "power_law gamma 0.4",
        "power_law gamma 0.55 scale 2",
        "mean 3",
        "high_boost 3 size 3",
        "canny 50-225",
        "flip horizontal",
        "flip vertical",
        "rotate 20 #1",
        "rotate 20 #2",
        "zoom 0.15 #1",
        "shift 0.1 #1",
        "shear 0.3 #1",
    ]
    at = np.flatnonzero((made.row == 11) & (made.variant == 3))[0]
    assert np.array_equal(made.images[at], variants.mean(originals.images[11]))
    pixels = made.images.astype(np.float64)
    assert np.allclose(made.mean, pixels.mean(axis=(1, 2)))
    assert np.allclose(made.mean_square, (pixels**2).mean(axis=(1, 2)))


def test_rows_given_as_test_get_none(prepared: tuple[str, str], tmp_path: Path) -> None:
    made = augmented(prepared, tmp_path)
    assert not np.isin(made.row, [0, 1, 8, 9, 16, 17]).any()
    moved = augmented(prepared, tmp_path, given={"test": "train"})
    assert set(moved.row) == set(range(24)), "what is taken as training gets variants"
    kept = augmented(prepared, tmp_path, given={"validation": "test"})
    assert set(kept.row) == set(made.row)
    ignored = augmented(prepared, tmp_path, given="ignore")
    assert set(ignored.row) == set(range(24)), "a split that ignores the given one trains on them"


def test_labels_restrict(prepared: tuple[str, str], tmp_path: Path) -> None:
    made = augmented(prepared, tmp_path, labels=["disc"])
    assert {made.labels[i] for i in made.label} == {"disc"} and len(made) == 6 * 12
    with pytest.raises(UserError, match="no image has the label 'dics'; there are: cross, disc"):
        augmented(prepared, tmp_path, labels=["dics"])


def test_a_variant_depends_on_seed_row_and_number_only(
    prepared: tuple[str, str], tmp_path: Path
) -> None:
    everything = augmented(prepared, tmp_path)
    few = augmented(prepared, tmp_path, labels=["stripes"], variants=settings(ALL[:8]))
    for i in range(len(few)):
        same = (everything.row == few.row[i]) & (everything.variant == few.variant[i])
        assert np.array_equal(everything.images[same][0], few.images[i])
    other = augmented(prepared, tmp_path, seed=4)
    drawn = np.isin(everything.variant, [8, 9, 10, 11, 12])
    assert np.array_equal(everything.images[~drawn], other.images[~drawn])
    differs = (everything.images[drawn] != other.images[drawn]).any(axis=(1, 2, 3))
    assert differs.mean() > 0.9
    first, second = everything.images[drawn][::5], everything.images[drawn][1::5]
    assert (first != second).any(axis=(1, 2, 3)).all()  # two copies are two draws


def test_equal_images_are_drawn_for_apart(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "a"
    folder.mkdir(parents=True)
    for name in "abcd":
        cv2.imwrite(str(folder / f"{name}.png"), noise())
    source, manifest = indexed(tmp_path / "in", tmp_path)
    view = {"size": 12, "color": "rgb", "resize": "squash", "filter": "auto"}
    output = str(tmp_path / "v.h5")
    prepare_images(source, manifest, output, cfg={"view": view, "decode": POLICY})
    made = augmented((output, manifest), tmp_path, variants=settings([{"rotate": 20}]))
    assert len(np.unique(made.images.reshape(4, -1), axis=0)) == 4


def test_the_number_of_workers_changes_no_byte(prepared: tuple[str, str], tmp_path: Path) -> None:
    files = []
    for threads in (1, 2, 3):
        augmented(prepared, tmp_path, threads=threads)
        files.append((tmp_path / "a.h5").read_bytes())
    assert files[0] == files[1] == files[2]


def test_no_variants_is_a_file_too(prepared: tuple[str, str], tmp_path: Path) -> None:
    made = augmented(prepared, tmp_path, variants=[], threads=2)
    assert len(made) == 0 and made.variants == ["original"]
    assert made.images.shape == (0, 14, 18, 3)
