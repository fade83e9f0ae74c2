"""Bounds of the shards of a data set; a shard is one job."""

from __future__ import annotations


def bounds(n: int, shard: int, shards: int) -> tuple[int, int]:
    """Half-open range of n items of a shard, 1 … `shards`, in order and evenly divided."""
    return n * (shard - 1) // shards, n * shard // shards
