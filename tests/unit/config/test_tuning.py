"""The space of a search."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from tests.support.configs import mistake, with_value


def tuned(space: dict[str, Any], **model: Any) -> dict[str, Any]:
    layers = [{"conv": 8}, "flatten", {"dropout": 0.3}, {"dense": 9, "name": "hidden"}]
    return with_value("models.cnn", {"layers": layers, "tune": {"space": space}} | model)


def test_a_space_names_settings_by_their_paths() -> None:
    space = {
        "optimizer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "layers.2.dropout.rate": [0.2, 0.5],
        "layers.hidden.dense.units": {"low": 8, "high": 64, "step": 8},
        "batch": [16, 32],
        "augment.flip": ["none", "horizontal"],
    }
    settings = Settings.load(tuned(space))
    wildcards = {"dataset": "pets", "fold": "holdout", "model": "cnn"}
    told = stage_settings(settings, "try_model", wildcards)["tune"]
    assert list(told["space"]) == list(space)
    assert told["space"]["layers.hidden.dense.units"]["step"] == 8
    assert told["objective"] == "loss" and "parallel" not in told
    assert "tune" not in stage_settings(settings, "try_model", wildcards)["model"]


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"optimizer.learningrate": [1, 2]}, "no setting 'learningrate'; did you mean 'learning_rate'?"),
        ({"optimiser.learning_rate": [1, 2]}, "no setting 'optimiser'; did you mean 'optimizer'?"),
        ({"optimizer.learning_rate": [0.1, -1]}, "tune.space: optimizer.learning_rate with -1: Input should be greater than 0"),
        ({"optimizer.momentum": {"low": 0.5, "high": 1.0}}, "optimizer.momentum with 1.0: Input should be less than 1"),
        ({"optimizer.name": ["adam", "adm"]}, "optimizer.name with 'adm'"),
        ({"layers.2.dropout.rate": [0.2, 1.5]}, "layers.2.dropout.rate with 1.5"),
        ({"layers.9.dropout.rate": [0.2, 0.5]}, "layers.9.dropout.rate: no item '9' in a list of 4"),
        ({"layers.last.dense.units": [2, 5]}, "layers.last.dense.units: no item 'last'"),
        ({"layers.1.dropout.rate": [0.2, 0.5]}, "layers.1.dropout.rate"),
        ({"batch": [32]}, "batch: give at least two values, or low and high"),
        ({"batch": {"low": 32, "high": 8}}, "low (32) must be less than high (8)"),
        ({"batch": {"low": 0, "high": 8, "log": True}}, "log needs low above 0"),
        ({"batch": {"low": 1, "high": 8, "log": True, "step": 2}}, "log and step exclude each other"),
        ({}, "at least 1 item"),
        ({"tune.trials": [1, 2]}, "no setting 'tune'"),
    ],
)  # fmt: skip
def test_a_space_that_cannot_be_tried_is_told(space: dict[str, Any], said: str) -> None:
    assert said in mistake(tuned(space))


def test_a_classifiers_space_reaches_its_own_settings() -> None:
    config = with_value("classifiers.svm.tune", {"space": {"settings.C": {"low": 1, "high": 9}}})
    wildcards = {
        "dataset": "pets", "fold": "holdout", "features": "cnn-seed0", "classifier": "svm",
    }  # fmt: skip
    told = stage_settings(Settings.load(config), "try_classifier", wildcards)
    assert told["tune"]["space"]["settings.C"]["high"] == 9
    assert "tune" not in told["classifier"]
    config["classifiers"]["svm"]["tune"]["space"] = {"pca": [0.5, 2.5]}
    assert "pca with 2.5: a fraction must lie between 0 and 1" in mistake(config)
