"""However steps reach a network, and over however many devices, its curves are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.backends.test_backends import curves


@pytest.mark.parametrize(
    ("way", "base"),
    [
        ("stacked", "plain"),  # several steps a call
        ("resident", "still"),  # rows on the device
        ("two", "plain"),  # two devices, killed and gone on
    ],
)
def test_the_curves_are_those_of_the_plain_loop(ways: Path, way: str, base: str) -> None:
    plain, other = curves(ways / base), curves(ways / way)
    assert len(plain) == 3 and plain[-1, 0] < plain[0, 0] * 0.8
    assert np.allclose(plain, other, rtol=1e-4)


def test_a_graph_by_xla_gives_the_same(ways: Path) -> None:
    if not (ways / "compiled").exists():
        pytest.skip("JAX always compiles")
    assert np.allclose(curves(ways / "plain"), curves(ways / "compiled"), rtol=1e-4)
