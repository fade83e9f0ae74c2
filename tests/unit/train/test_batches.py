"""Batches: every row once an epoch, well mixed, settled by (seed, epoch), at bounded memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.train import batches
from tests.support import tiny_data

SIZE = 4 * 4 * 3


def rows(n: int) -> batches.Rows:
    """Each image is filled with its own number, in two bytes, over two files."""
    number = np.arange(n)
    pixels = np.zeros((n, 4, 4, 3), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = number % 256, number // 256
    first = n // 3
    files = [pixels[:first], np.concatenate([pixels[:5] * 0, pixels[first:]])]
    return batches.Rows(files, [np.arange(first), 5 + np.arange(n - first)], number)


def numbers(images: np.ndarray) -> np.ndarray:
    return images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 0, 1].astype(int)


@pytest.mark.parametrize("budget", [10**9, 100 * SIZE, 64 * SIZE, SIZE])
@pytest.mark.parametrize("n", [1000, 997, 40])
def test_each_row_comes_once_an_epoch_with_its_label(n: int, budget: int) -> None:
    order = batches.Shuffled(rows(n), batch=32, budget=budget, seed=3)
    seen = {}
    for epoch in (1, 2):
        made = list(order.epoch(epoch))
        assert len(made) == len(order) and all(len(x) == 32 for x, _ in made[:-1])
        for images, label in made:
            assert np.array_equal(numbers(images), label)
        seen[epoch] = np.concatenate([label for _, label in made])
        assert sorted(seen[epoch]) == list(range(n))
    assert not np.array_equal(seen[1], seen[2])
    again = batches.Shuffled(rows(n), batch=32, budget=budget, seed=3)
    assert np.array_equal(seen[2], np.concatenate([y for _, y in again.epoch(2)]))
    other = batches.Shuffled(rows(n), batch=32, budget=budget, seed=4)
    assert not np.array_equal(seen[2], np.concatenate([y for _, y in other.epoch(2)]))


@pytest.mark.parametrize("budget", [10**9, 64 * 16])  # held; streamed
@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)])
def test_features_come_as_pixels_do(shape: tuple[int, ...], budget: int) -> None:
    values = np.random.default_rng(0).normal(size=(300, *shape)).astype(np.float32)
    source = batches.Rows(
        [values[:100], values[100:]], [np.arange(100), np.arange(200)], np.arange(300)
    )
    assert source.row_bytes == 16
    order = batches.Shuffled(source, batch=32, budget=budget, seed=0)
    assert order.held == (budget > 300 * 16)
    made = list(order.epoch(1))
    assert all(x.dtype == np.float32 and x.shape[1:] == shape for x, _ in made)
    assert all(np.array_equal(x, values[label]) for x, label in made)
    assert sorted(np.concatenate([label for _, label in made])) == list(range(300))
    again = np.concatenate([x for x, _ in batches.in_order(source, 64)])
    assert np.array_equal(again, values)


def test_a_streamed_batch_mixes_distant_places_of_the_file() -> None:
    order = batches.Shuffled(rows(5000), batch=50, budget=1000 * SIZE, seed=0)
    assert not order.held
    spread = [label.std() / 5000 for _, label in order.epoch(1)]
    assert np.median(spread) > 0.2  # of a full permutation: 0.29; of neighbours: 0.003


def test_streaming_holds_the_budget_and_little_more() -> None:
    n, budget = 200_000, 1_000_000
    pixels = np.zeros((n, 4, 4, 3), np.uint8)  # 9.6 MB
    source = batches.Rows([pixels], [np.arange(n)], np.zeros(n, np.int8))
    order = batches.Shuffled(source, batch=64, budget=budget, seed=0)
    tracemalloc.start()
    for _ in zip(order.epoch(1), range(500), strict=False):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < budget + 5 * n * 8  # the order's numbers, and no pixels beyond the budget


def test_batches_may_be_written_to() -> None:
    order = batches.Shuffled(rows(64), batch=64, budget=10**9, seed=0)
    for images, _ in order.epoch(1):
        images[:] = 0
    assert sorted(numbers(next(order.epoch(2))[0])) == list(range(64))


def test_in_order_reads_all_files_one_after_the_other() -> None:
    got = list(batches.in_order(rows(100), 30))
    assert [len(x) for x, _ in got] == [30, 30, 30, 10]
    assert np.concatenate([numbers(x) for x, _ in got]).tolist() == list(range(100))


def test_ahead_gives_the_same_items_in_order_from_another_thread() -> None:
    def items() -> Iterator[tuple[int, str]]:
        for i in range(20):
            yield i, threading.current_thread().name

    with batches.ahead(items()) as ready:
        got = list(ready)
    assert [i for i, _ in got] == list(range(20))
    assert {name for _, name in got} == {"batches"}


def test_ahead_passes_an_error_on_and_ends_its_thread() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), batches.ahead(items()) as ready:
        list(ready)
    with batches.ahead(iter(range(10**9))) as ready:
        assert next(ready) == 0
    assert "batches" not in [t.name for t in threading.enumerate()]


def test_a_fold_trains_on_training_rows_and_their_variants_only(tmp_path: Path) -> None:
    images, splits, augmented = tiny_data.write(tmp_path)
    fold = batches.open_fold(
        images, splits, augmented, fold="holdout", balance=None, balance_seed=0
    )
    train = [i for i in range(90) if i % 5 < 3]
    assert fold.chosen[0].tolist() == train and fold.chosen[1].tolist() == train
    training = fold.training()
    assert len(training) == 108 and training.label.tolist() == [i // 30 for i in train] * 2
    both = training.read(np.array([0, 54]))
    assert np.array_equal(both[1], 255 - both[0])
    assert fold.originals("validation").tolist() == list(range(3, 90, 5))
    balanced = batches.open_fold(
        images, splits, augmented, fold="holdout", balance=20, balance_seed=0
    )
    assert np.bincount(balanced.training().label).tolist() == [20, 20, 20]
    assert [len(c) for c in balanced.chosen] == [54, 6]


def test_a_fold_without_training_rows_is_told(tmp_path: Path) -> None:
    images, splits, _ = tiny_data.write(tmp_path, n=3)
    import pyarrow.parquet as pq

    table = pq.read_table(splits)
    meta = table.schema.metadata
    frame = table.to_pandas()
    frame["holdout"] = "test"
    import pyarrow as pa

    pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(meta), splits)
    with pytest.raises(UserError, match="holdout has no training rows"):
        batches.open_fold(images, splits, None, fold="holdout", balance=None, balance_seed=0)
