"""TensorFlow, JAX and PyTorch: one training, one file, one answer."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from tests.backends.conftest import BACKENDS, process
from tests.support.workspace import Workspace

OTHERS = ("jax", "torch")


def curves(place: Path) -> np.ndarray:
    """(epochs, 4) losses and accuracies."""
    with (place / "history.csv").open() as file:
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        return np.array([[float(row[n]) for n in names] for row in csv.DictReader(file)])


@pytest.mark.parametrize("name", BACKENDS)
def test_it_runs_on_the_backend_that_was_asked_for(trained: dict[str, Path], name: str) -> None:
    assert str(np.load(trained[name] / "said.npz")["ran"]) == name


@pytest.mark.parametrize("name", OTHERS)
def test_curves_agree(trained: dict[str, Path], name: str) -> None:
    base, other = (curves(trained[n] / "same") for n in ("tensorflow", name))
    assert base[-1, 0] < base[0, 0] * 0.8  # it has learned, so that there is something to compare
    assert np.allclose(base[:, [0, 2]], other[:, [0, 2]], rtol=1e-3)
    assert np.allclose(base[:, [1, 3]], other[:, [1, 3]], atol=0.02)


@pytest.mark.parametrize("name", OTHERS)
def test_predictions_agree(trained: dict[str, Path], name: str) -> None:
    said = [np.load(trained[n] / "said.npz")["own"] for n in ("tensorflow", name)]
    assert np.ptp(said[0]) > 0.5
    assert np.allclose(*said, atol=1e-3)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_killed_training_goes_on_to_the_same_weights(trained: dict[str, Path], name: str) -> None:
    assert bool(np.load(trained[name] / "said.npz")["resumed"])


@pytest.mark.parametrize(("reader", "writer"), [("jax", "torch"), ("tensorflow", "jax")])
def test_a_file_says_the_same_on_another_backend(
    trained: dict[str, Path], reader: str, writer: str
) -> None:
    there = np.load(trained[reader] / "said.npz")[writer]
    assert np.allclose(there, np.load(trained[writer] / "said.npz")["own"], atol=1e-5)


def test_a_run_and_the_command_line(workspace: Workspace) -> None:
    workspace.config["backend"] = "jax"
    workspace.config["run"] |= {"classifiers": ["svm"], "features": []}
    run = "results/shapes/holdout/tiny-seed0"
    workspace.run(f"{run}/svm/model.skops", loaded=False)
    log = workspace.root / "logs/shapes/holdout/train_model-tiny-seed0.log"
    assert " weights; jax, " in log.read_text()
    pictures = [str(p) for p in sorted((workspace.root / "pictures").glob("*/001.png"))]
    words = ("darkroom", "predict", str(workspace.root / run), *pictures, "--csv")
    rows = csv.DictReader(StringIO(process(*words)))
    answers = [[float(v) for k, v in r.items() if k.startswith("p:")] for r in rows]
    assert np.shape(answers) == (len(pictures), 3) and np.ptp(answers) > 0.1
