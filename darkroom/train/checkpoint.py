"""The state of a training after each whole epoch, from which a killed training goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.machine import disk
from darkroom.train import batches

log = logging.getLogger(__name__)

Row = dict[str, float | None]  # of the history, keys as `training.COLUMNS` but for `kept`


@dataclass
class TrainingState:
    """How a training stands after its last whole epoch.

    Attributes
    ----------
    history : a row an epoch.
    best : value of the monitored quantity, smaller is better.
    best_epoch : epoch that had it, 0 before the first.
    weights : of that epoch.
    head_epochs : epochs before the fine-tuning began; None as long as it has not.
    """

    history: list[Row] = field(default_factory=list)
    best: float = math.inf
    best_epoch: int = 0
    weights: list[np.ndarray] = field(default_factory=list)
    head_epochs: int | None = None

    @property
    def epoch(self) -> int:
        """Whole epochs so far."""
        return len(self.history)

    def add(self, row: Row, value: float | None, weights: Callable[[], list[np.ndarray]]) -> None:
        """Take an epoch in; keep its weights if `value` (smaller is better) is the best yet."""
        self.history.append(row)
        if value is not None and value < self.best:
            self.best, self.best_epoch, self.weights = value, self.epoch, weights()


def identity(fold: batches.Fold, files: list[str], *about: Any) -> str:
    """Digest of all that a state belongs to: the fold, files, settings, code, versions.

    A file counts by its size and time; the split by what is in it, so that writing it anew with
    the same content changes nothing.

    Parameters
    ----------
    fold : the rows.
    files : that are read besides the fold's.
    about : whatever else, as JSON values.
    """
    digest = hashlib.sha256(json.dumps([fold.digest(), *about]).encode())
    for path in [*(file.path for file in fold.files), *files]:
        status = Path(path).stat()
        digest.update(f"\0{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


def save(path: Path, network: Any, state: TrainingState) -> None:
    """Write the state after an epoch: network, optimizer, dropout's counters, history."""
    import keras

    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob("*.npz*"):
        if other != path:
            other.unlink(missing_ok=True)  # of other settings, or cut short
    arrays: dict[str, Any] = {f"best{i}": w for i, w in enumerate(state.weights)}
    for name, variables in _variables(network):
        arrays |= {f"{name}{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}
    rest = {k: v for k, v in vars(state).items() if k != "weights"}
    with disk.whole(path) as part, part.open("wb") as file:
        np.savez(file, rest=json.dumps(rest), **arrays)


def read(path: Path) -> tuple[TrainingState, dict[str, np.ndarray]] | None:
    """Read a state and the arrays that belong to it; None where there is no whole one."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        return TrainingState(**json.loads(str(arrays["rest"]))), arrays
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.info("%s cannot be read (%s): training starts anew", path, error)
        return None


def restore(network: Any, state: TrainingState, arrays: dict[str, np.ndarray]) -> None:
    """Give a compiled network, and the state its best weights, what `read` found."""
    if state.best_epoch:
        state.weights = [arrays[f"best{i}"] for i in range(len(network.weights))]
    for name, variables in _variables(network):
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"{name}{i}"])


def _variables(network: Any) -> list[tuple[str, list[Any]]]:
    network.optimizer.build(network.trainable_variables)
    return [("network", network.variables), ("optimizer", network.optimizer.variables)]
