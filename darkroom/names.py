"""Names of runs, as they stand in paths and tables."""

from __future__ import annotations

HEAD = "head"  # the classifier that a network itself is


def run_name(model: str, seed: int | str) -> str:
    """The feature set of a trained network, and its folder: `cnn-seed0`."""
    return f"{model}-seed{seed}"
