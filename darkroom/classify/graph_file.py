"""What predicts without scikit-learn in a classifier's file.

`model.skops` is a zip. Beside the estimator it has, in the folder `darkroom/`:

- `about.json`: what the file says of itself, and the names of the classes;
- `classifier.onnx`: the classifier as a graph from features to probabilities, where it has that form
  (`onnx_graph.alone`): scikit-learn takes three seconds to load, the graph some milliseconds;
- `learned_from.npz`: what tells how unlike a picture is, where there is that.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.infer.run import open_session
from darkroom.machine import disk
from darkroom.unlikeness import Known

ABOUT, GRAPH, LEARNED_FROM = (
    f"darkroom/{name}" for name in ("about.json", "classifier.onnx", "learned_from.npz")
)
# Most that a file unpacks to: the largest ratios are those of the schemas of random forests, 25.
MOST_RATIO, MOST_BYTES = 60, 10**8
CHUNK = 1024  # rows per prediction


@dataclass(frozen=True)
class Predictor:
    """A classifier that predicts by its graph.

    Attributes
    ----------
    path : of the file, for messages.
    classes, about, learned_from : as in `model_file.Fitted`.
    graph : from features to probabilities.
    """

    path: str
    classes: list[str]
    about: dict[str, Any]
    learned_from: Known | None
    graph: bytes

    @cached_property
    def _session(self) -> Any:
        return open_session(self.path, 1, self.graph)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probability of each class, at the temperature.

        Parameters
        ----------
        features : (N, D) float32.

        Returns
        -------
        (N, K) float64, within rounding those of `model_file.Fitted`.
        """
        parts = [
            self._session.run(
                None, {"features": np.asarray(features[at : at + CHUNK], np.float32)}
            )[0]
            for at in range(0, max(1, len(features)), CHUNK)
        ]
        return np.concatenate(parts)


def write(
    path: Path,
    classes: list[str],
    about: dict[str, Any],
    learned_from: Known | None,
    graph: bytes | None,
) -> None:
    """Add the files to a zip; parameters as the attributes of `Predictor`, None where there is none."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr(ABOUT, json.dumps({"classes": classes, **about}, ensure_ascii=False))
        if graph is not None:
            file.writestr(GRAPH, graph)
        if learned_from is not None:
            file.writestr(LEARNED_FROM, learned_from.to_bytes())


def read(path: str) -> Predictor | None:
    """The predictor in a file.

    Returns
    -------
    None where it has no graph, or cannot be read: `model_file.load` takes it, or says what is wrong.

    Raises
    ------
    UserError
        The file unpacks to far more than its size.
    """
    try:
        check_unpacked(path)
        with zipfile.ZipFile(path) as file:
            if GRAPH not in file.namelist():
                return None
            about = json.loads(file.read(ABOUT))
            classes = list(about.pop("classes"))
            return Predictor(path, classes, about, learned_from(file), file.read(GRAPH))
    except UserError:
        raise
    except Exception:  # a damaged zip, JSON or array can raise anything
        return None


def learned_from(file: zipfile.ZipFile) -> Known | None:
    """What tells how unlike a picture is; None where the file has nothing."""
    if LEARNED_FROM not in file.namelist():
        return None
    return Known.from_bytes(file.read(LEARNED_FROM))


def check_unpacked(path: str) -> None:
    """Refuse a file of which a small part unpacks to much memory."""
    with zipfile.ZipFile(path) as file:
        unpacked = sum(member.file_size for member in file.infolist())
    if unpacked > MOST_BYTES + MOST_RATIO * Path(path).stat().st_size:
        raise UserError(
            f"{path} is refused: it unpacks to {disk.size_text(unpacked)}, more than any "
            "classifier of this size"
        )
