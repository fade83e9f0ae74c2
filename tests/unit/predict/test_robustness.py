"""Images that were made worse, and how the best model does on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest

from darkroom.predict.corruptions import SMALL, STRENGTHS, VALUES, corrupted
from darkroom.predict.robustness import measure_robustness
from tests.support.pictures import picture
from tests.support.small_chain import Chain


@pytest.mark.parametrize("size", [(32, 40), (SMALL + 60, SMALL + 20)])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_strength_changes_more(kind: str, size: tuple[int, int], channels: int) -> None:
    image = np.ascontiguousarray(picture("cross", 3, size)[:, :, :channels])
    before, far = image.copy(), []
    for strength in STRENGTHS:
        worse = corrupted(image, kind, strength, seed=7)
        assert worse.shape == image.shape and worse.dtype == np.uint8
        far.append(float(np.abs(worse.astype(float) - image).mean()))
    assert np.array_equal(image, before)
    assert 0 < far[0] < far[2] < far[4], far


@pytest.mark.parametrize("kind", VALUES)
def test_equal_seeds_give_equal_pixels_and_others_do_not(kind: str) -> None:
    image = picture("disc", 1, (90, 100))
    one, again, other = (corrupted(image, kind, 3, seed) for seed in (5, 5, 6))
    assert np.array_equal(one, again)
    random = kind in ("noise", "occlusion")  # a rotation goes one of two ways
    assert not random or not np.array_equal(one, other)


def test_the_strengths_are_those_that_are_told() -> None:
    gray = np.full((100, 100, 3), 100, np.uint8)
    noise = corrupted(gray, "noise", 1, 0).astype(float) - 100
    assert noise.std() == pytest.approx(0.08 * 255, rel=0.02)
    hidden = corrupted(gray, "occlusion", 5, 0) == 128
    assert hidden.mean() == pytest.approx(0.4, abs=0.01)
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], (100, 1, 3))
    assert corrupted(ramp, "contrast", 2, 0).std() == pytest.approx(0.3 * ramp.std(), rel=0.01)
    small = np.full((32, 32, 1), 100, np.uint8)
    noise = corrupted(small, "noise", 5, 0).astype(float) - 100
    assert noise.std() == pytest.approx(0.10 * 255, rel=0.05)
    rgb = np.zeros((100, 100, 3), np.uint8)
    rgb[:, :, 0] = 200  # red stays red through a JPEG
    assert corrupted(rgb, "JPEG", 1, 0).mean(axis=(0, 1)) == pytest.approx([200, 0, 0], abs=4)


def test_the_best_model_is_measured_on_its_test_images(chain: Chain, tmp_path: Path) -> None:
    images = [str(path) for path in sorted(Path(chain.results("images")).glob("*.h5"))]
    tables = []
    for name in ("a", "b"):
        measure_robustness(
            str(tmp_path / f"{name}.parquet"),
            thresholds=chain.results("thresholds.parquet"),
            splits=chain.results("splits.parquet"),
            images=images,
            cfg={"dataset": "shapes"},
            threads=1,
        )
        tables.append(pandas.read_parquet(tmp_path / f"{name}.parquet"))
    table = tables[0]
    pandas.testing.assert_frame_equal(table, tables[1])  # exactly the same again
    assert len(table) == 1 + len(VALUES) * len(STRENGTHS)
    fold, features, classifier = (table.attrs["model"] + "/head").split("/")[:3]
    own = pandas.read_parquet(chain.results("metrics.parquet"))
    own = own[(own["fold"] == fold) & (own["feature_set"] == features) & (own["part"] == "test")]
    own = own[own["classifier"] == classifier].iloc[0]
    clean = table[table["kind"] == "none"].iloc[0]
    assert clean["accuracy"] == pytest.approx(own["accuracy"])
    assert clean["accuracy_low"] == pytest.approx(own["accuracy_low"])
    assert clean["images"] == own["n"] and clean["change"] == 0
    lost = table["balanced_accuracy"] - clean["balanced_accuracy"]
    assert table["change"].to_numpy() == pytest.approx(lost.to_numpy())
    assert lost.min() < -0.1  # shapes that are turned, hidden or without contrast
