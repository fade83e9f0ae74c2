"""Work in shards: the same index, the same pixels, and no pixel copied."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from darkroom.config.dataset import Decode, Layout
from darkroom.errors import UserError
from darkroom.images import store
from darkroom.images.joined import JoinedArray, take
from darkroom.images.prepare import join_images, prepare_images, prepare_shard
from darkroom.images.variants import augment_images
from darkroom.index.manifest import index_files
from darkroom.index.sharded import index_shard, join_index, list_files
from darkroom.index.shards import bounds
from darkroom.train import batches
from tests.support.awful import awful_folder
from tests.support.indexed import POLICY, indexed
from tests.support.pictures import class_folders

VIEW = {"size": 9, "color": "rgb", "resize": "squash", "filter": "auto"}
NAMES = {"dataset": "pets", "view": "v"}


# ---------------------------------------------------------------- rows of several files


@pytest.mark.parametrize(("n", "shards"), [(10, 3), (7, 7), (3, 8), (0, 2), (1_000_003, 97)])
def test_bounds_cover_every_item_once_and_evenly(n: int, shards: int) -> None:
    ends = [bounds(n, k, shards) for k in range(1, shards + 1)]
    assert ends[0][0] == 0 and ends[-1][1] == n
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    sizes = [b - a for a, b in ends]
    assert max(sizes) - min(sizes) <= 1


@pytest.fixture
def joined() -> tuple[JoinedArray, np.ndarray]:
    whole = np.random.default_rng(0).integers(0, 256, (23, 2, 3), dtype=np.uint8)
    return JoinedArray(np.split(whole, [4, 5, 17])), whole


@pytest.mark.parametrize(
    "at",
    [
        0, 4, 22, -1, -23, np.int64(5), slice(None), slice(3, 19), slice(5, 16), slice(4, 4),
        slice(-3, None), slice(20, 2, -3), slice(1, 23, 4), np.array([22, 0, 4, 4, 16]),
        np.array([], np.int64), np.arange(5, 17), np.arange(23) % 3 == 0,
    ],
)  # fmt: skip
def test_shards_are_indexed_as_one_array(joined: tuple[JoinedArray, np.ndarray], at: Any) -> None:
    shards, whole = joined
    assert np.array_equal(shards[at], whole[at]) and shards[at].shape == whole[at].shape
    assert (len(shards), shards.shape, shards.dtype) == (23, (23, 2, 3), np.uint8)


def test_rows_are_taken_into_a_place(joined: tuple[JoinedArray, np.ndarray]) -> None:
    shards, whole = joined
    for index_ in (np.array([9, 3, 22]), np.array([6, 5, 16])):
        out = np.zeros((3, 2, 3), np.uint8)
        take(shards, index_, out)
        assert np.array_equal(out, whole[index_])


@pytest.mark.parametrize("at", [23, -24, np.array([0, 23]), np.array([-1])])
def test_rows_that_are_not_there_are_refused(
    joined: tuple[JoinedArray, np.ndarray], at: Any
) -> None:
    with pytest.raises(IndexError):
        joined[0][at]


def test_shards_are_never_read_as_a_whole_unasked(joined: tuple[JoinedArray, np.ndarray]) -> None:
    with pytest.raises(TypeError, match="never as a whole"):
        np.asarray(joined[0])


# ---------------------------------------------------------------- the index


def index_cfg(**settings: Any) -> dict[str, Any]:
    return {
        "dataset": "pets",
        "layout": Layout().model_dump(),
        "group": None,
        "decode": Decode().model_dump(),
    } | settings


@pytest.mark.parametrize("count", [1, 3, 40])
def test_an_index_in_shards_is_the_whole_one_to_the_byte(tmp_path: Path, count: int) -> None:
    """Damaged files, copies in other shards, links and odd names among them."""
    root = tmp_path / "pets"
    awful_folder(root)
    source = tmp_path / "source.json"
    source.write_text(f'{{"root": "{root}"}}')
    whole, joined = tmp_path / "whole.parquet", tmp_path / "joined.parquet"
    cfg = index_cfg()
    index_files(str(source), str(whole), str(tmp_path / "whole.npy"), cfg=cfg, threads=1)
    listing, thumbnails = tmp_path / "index/listing.parquet", str(tmp_path / "joined.npy")
    list_files(str(source), str(listing), cfg=cfg)
    parts = []
    for shard in range(1, count + 1):
        parts.append(str(tmp_path / f"index/{shard}.parquet"))
        own = {"decode": cfg["decode"], "shard": shard, "shards": count}
        index_shard(str(source), str(listing), parts[-1], cfg=own, threads=2)
    join_index(str(source), str(listing), parts, str(joined), thumbnails, cfg={"dataset": "pets"})
    table = pq.read_table(whole)
    assert len(set(table["status"].to_pylist())) == 3 and any(table["duplicate_of"].to_pylist())
    assert any("duplicate path: a link" in r for r in table["reason"].to_pylist())
    assert joined.read_bytes() == whole.read_bytes()
    assert Path(thumbnails).read_bytes() == (tmp_path / "whole.npy").read_bytes()
    if count > 1:
        with pytest.raises(UserError, match="its shards"):
            join_index(
                str(source),
                str(listing),
                parts[:-1],
                str(joined),
                thumbnails,
                cfg={"dataset": "pets"},
            )


def test_a_shard_reads_its_own_files_alone(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pictures", per_class=4)
    source, listing = tmp_path / "source.json", tmp_path / "listing.parquet"
    source.write_text(f'{{"root": "{root}"}}')
    list_files(str(source), str(listing), cfg=index_cfg())
    for path in root.glob("[ds]*/*"):  # all but the first class
        path.unlink()
    own = {"decode": index_cfg()["decode"], "shard": 1, "shards": 3}
    index_shard(str(source), str(listing), str(tmp_path / "1.parquet"), cfg=own, threads=1)
    found = pq.read_table(tmp_path / "1.parquet")
    assert found["trouble"].to_pylist() == [b""] * 4


# ---------------------------------------------------------------- pixels


def prepare(folder: Path, out: Path, count: int, **view: Any) -> tuple[str, list[str]]:
    source, manifest = indexed(folder, out)
    cfg: dict[str, Any] = {"view": VIEW | view, "decode": POLICY}
    joined = str(out / "v.h5")
    parts = [str(out / f"v.shards/{k}.h5") for k in range(1, count + 1)]
    for shard, part in enumerate(parts, 1):
        own = cfg | {"shard": shard, "shards": count}
        prepare_shard(source, manifest, part, cfg=own)
    join_images(parts, joined, cfg=NAMES)
    return joined, parts


def whole(folder: Path, out: Path) -> store.Images:
    out.mkdir()
    source, manifest = indexed(folder, out)
    cfg = {"view": VIEW, "decode": POLICY}
    prepare_images(source, manifest, str(out / "whole.h5"), cfg=cfg)
    return store.open_images(str(out / "whole.h5"))


@pytest.mark.parametrize("count", [2, 5, 30])
def test_pixels_in_shards_are_the_whole_ones(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = class_folders(tmp_path / "pictures", per_class=7)
    once = whole(folder, tmp_path / "once")
    path, _ = prepare(folder, tmp_path, count)
    made = store.open_images(path)
    for name in ("row", "variant", "label", "mean", "mean_square"):
        assert np.array_equal(getattr(made, name), getattr(once, name)), name
    assert (made.labels, made.view, made.decode) == (once.labels, once.view, once.decode)
    assert np.array_equal(made.images[:], once.images[:])
    for a, b in [(0, 21), (3, 4), (5, 20), (8, 8)]:
        assert np.array_equal(made.block(a, b), once.block(a, b))
    places = [np.array([0, 3, 4, 9, 20])]
    read = [
        batches.Rows([f.images], places, np.zeros(5, np.int64)).read(np.array([4, 0, 2]))
        for f in (made, once)
    ]
    assert np.array_equal(*read)
    monkeypatch.chdir("/")  # other programs read it as one array, from wherever
    with h5py.File(path, locking=False) as file:
        assert np.array_equal(file["images"][:], once.images[:])


def test_a_join_done_again_is_equal_to_the_byte(tmp_path: Path) -> None:
    path, parts = prepare(class_folders(tmp_path / "pictures", per_class=2), tmp_path, 2)
    before = Path(path).read_bytes()
    time.sleep(1.1)  # HDF5 would note the second
    join_images(parts, path, cfg=NAMES)
    assert Path(path).read_bytes() == before


def test_no_pixel_is_copied(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pictures", per_class=20)
    path, parts = prepare(folder, tmp_path, 3, size=64)
    pixels = 60 * 64 * 64 * 3
    size = sum(Path(part).stat().st_size for part in parts)
    assert size > pixels > 10 * Path(path).stat().st_size


def test_variants_of_images_that_lie_far_apart_read_nothing_between(tmp_path: Path) -> None:
    """One class in the first shard and one in the last, with most of the images between."""
    folder = class_folders(tmp_path / "pictures", per_class=20, kinds=("a", "z"))
    class_folders(folder, per_class=200, kinds=("m",))
    path, _ = prepare(folder, tmp_path, 2, size=64)
    cfg = {"variants": [{"flip": {}}], "labels": ["a", "z"], "seed": 0,
           "given": "use"}  # fmt: skip
    manifest, out = str(tmp_path / "manifest.parquet"), str(tmp_path / "a.h5")
    tracemalloc.start()
    augment_images(path, manifest, out, cfg=cfg)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    between = 200 * 64 * 64 * 3
    assert peak < between / 2
    made, originals = store.open_images(out), store.open_images(path)
    assert made.row.tolist() == [*range(20), *range(220, 240)]
    assert np.array_equal(made.images[:], originals.images[made.row][:, :, ::-1])


def test_a_gone_or_a_changed_shard_is_told(tmp_path: Path) -> None:
    """HDF5 itself would give zeros."""
    folder = class_folders(tmp_path / "pictures", per_class=5)
    path, parts = prepare(folder, tmp_path, 3)
    kept = Path(parts[1]).read_bytes()
    Path(parts[1]).unlink()
    with pytest.raises(UserError, match=r"v\.shards/2\.h5 is missing: delete it and run again"):
        store.open_images(path)
    Path(parts[1]).write_bytes(Path(parts[0]).read_bytes())
    with pytest.raises(UserError, match="have different rows"):
        store.open_images(path)
    Path(parts[1]).write_bytes(kept[:-100])
    with pytest.raises(UserError, match="not a complete images file"):
        store.open_images(path)


def test_shards_of_different_settings_or_order_are_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pictures", per_class=5)
    path, parts = prepare(folder, tmp_path, 2)
    with pytest.raises(UserError, match="do not ascend"):
        join_images(parts[::-1], path, cfg=NAMES)
    source, manifest = indexed(folder, tmp_path)
    cfg = {"view": VIEW | {"resize": "pad"}, "decode": POLICY, "shard": 2, "shards": 2}
    prepare_shard(source, manifest, parts[1], cfg=cfg)
    with pytest.raises(UserError, match="different settings"):
        join_images(parts, path, cfg=NAMES)


def test_fewer_shards_leave_no_pixels_of_more_behind(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pictures", per_class=5)
    prepare(folder, tmp_path, 4)
    prepare(folder, tmp_path, 2)
    assert sorted(p.name for p in (tmp_path / "v.shards").iterdir()) == ["1.h5", "2.h5"]
    source, manifest = indexed(folder, tmp_path)
    cfg = {"view": VIEW, "decode": POLICY}
    prepare_images(source, manifest, str(tmp_path / "v.h5"), cfg=cfg)
    assert not (tmp_path / "v.shards").exists()
