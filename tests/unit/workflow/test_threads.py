"""Cores are shared among the jobs that can use them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from darkroom import ROOT
from darkroom.config.model import Layer
from darkroom.config.settings import Settings
from darkroom.workflow.threads import (
    embedding,
    multiplications,
    of_network,
    of_share,
    of_training,
    work_of_fit,
    work_of_fits,
)


def layers(*items: object) -> list[Layer]:
    return [Layer.model_validate(item) for item in items]


def test_multiplications_of_known_networks() -> None:
    assert multiplications(layers({"conv": 8}), (10, 10, 3)) == 10 * 10 * 9 * 3 * 8
    assert multiplications(layers("flatten", {"dense": 7}), (4, 5, 1)) == 20 * 7
    pooled = layers({"conv": {"filters": 4, "stride": 2}}, {"pool": 2}, "flatten", {"dense": 2})
    assert multiplications(pooled, (8, 8, 1)) == 4 * 4 * 9 * 4 + 2 * 2 * 4 * 2
    residual = layers({"residual": [16, 2]}, {"global_pool": "average"}, {"dense": 3})
    assert multiplications(residual, (8, 8, 8)) == 16 * 9 * (8 + 16) * 16 + 16 * 3


def test_small_networks_take_a_core_and_large_ones_all() -> None:
    small = Settings.load(yaml.safe_load((ROOT / "config.yaml").read_text()))
    cnn = small.models["cnn"]
    assert of_training(cnn.layers, small.view_of("digits", "cnn").shape, cnn.batch, 8) == 1
    large = yaml.safe_load((ROOT / "presets/cifar10_cnn.yaml").read_text())["models"]
    network = layers(*large["cifar10_cnn"]["layers"])
    assert of_training(network, (32, 32, 3), 128, 8) == 8
    assert of_training(network, (32, 32, 3), 128, 2) == 2


@pytest.mark.parametrize(
    ("work", "cores", "most", "threads"),
    [
        ([1] * 6, 2, 8, [1] * 6),
        ([1], 2, 8, [2]),
        ([1, 1], 16, 8, [8, 8]),
        ([1, 1], 16, 4, [4, 4]),
        ([17, 104], 2, 8, [1, 2]),  # the long one takes both cores, before or after
        ([50, 40, 10], 10, 8, [5, 4, 1]),
        ([1, 1, 1], None, 8, [8, 8, 8]),
    ],
)
def test_of_share(work: list[float], cores: int | None, most: int, threads: list[int]) -> None:
    assert [of_share(w, sum(work), cores, most) for w in work] == threads


def test_a_head_on_cached_features_is_small_and_a_map_s_is_not() -> None:
    head = layers({"dense": 100})
    assert of_training(head, embedding((224, 224, 3), "average"), 64, 8) == 1
    assert embedding((224, 160, 3), "none") == (7, 5, 2048)
    assert (
        of_training(layers("flatten", {"dense": 500}), embedding((224, 224, 3), "none"), 64, 8) > 1
    )


def test_a_backbone_takes_all_threads_where_it_runs_and_its_head_none_of_them() -> None:
    """A head learns from cached features unless pixels change; fine-tuning reads pixels."""
    head: dict[str, Any] = {"backbone": "net", "layers": [{"dense": 8}]}
    made = Settings.load(
        {
            "run": {"datasets": ["pets"], "models": ["plain"], "classifiers": ["knn", "svm"]},
            "datasets": {"pets": {"source": "https://example.org/pets.zip", "split": {"folds": 3}}},
            "features": {"net": {"kind": "backbone", "application": "MobileNet"}},
            "models": {
                "plain": head | {"seeds": [0, 1]},
                "tuned": head | {"fine_tune": {"blocks": 1}},
                "changed": head | {"augment": {"flip": "horizontal"}},
            },
            "classifiers": {"knn": {"kind": "knn"}, "svm": {"kind": "svm", "max_rows": 1000}},
            "threads": 6,
        }
    )
    found = {
        name: [of_network(made, "pets", name, training=how) for how in (True, False)]
        for name in made.models
    }
    assert found == {"plain": [1, 1], "tuned": [6, 6], "changed": [6, 1]}
    each = work_of_fit(made, "knn") + work_of_fit(made, "svm")
    assert work_of_fits(made) == pytest.approx(3 * 2 * each)  # folds and runs
