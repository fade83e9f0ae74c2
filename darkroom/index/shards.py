"""Which items belong to which shard of a data set: a shard is one job."""

from __future__ import annotations


def bounds(n: int, shard: int, shards: int) -> tuple[int, int]:
    """First and last + 1 of n items that belong to a shard, 1 … shards: in order, evenly."""
    return n * (shard - 1) // shards, n * shard // shards
