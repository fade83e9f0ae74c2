"""Run `model.onnx` on a processor; neither Keras nor TensorFlow is imported."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from darkroom.errors import UserError

PROPERTY = "darkroom"  # the key of what a file says of itself
# Images at a time. Measured with MobileNet at 224 pixels, images a CPU second: 424 by ones, 436 by
# eights, 362 by 32, 338 by 64: what lies between two layers then no longer fits the caches.
FEWEST, BYTES = 8, 1 << 18


class Output(NamedTuple):
    """What a network says of N images.

    Attributes
    ----------
    features : (N, D) float32 of the layer that is read.
    logits : (N, K) float32; of one sigmoid unit the first class has 0. None of a backbone.
    probabilities : (N, K) float32, the softmax of the logits. None of a backbone.
    """

    features: np.ndarray
    logits: np.ndarray | None
    probabilities: np.ndarray | None


class Network:
    """A trained network or a backbone, open.

    An image gets the same bits in any batch, by any number of threads, on the same processor.

    Parameters
    ----------
    path : of `model.onnx`.
    threads : cores to use.
    layer : whose output the features are; None: the one that the file gives, the input of
        the head.
    embedded : the network reads its backbone's features, (N, D) or (N, h, w, D) float32, in
        place of images.

    Attributes
    ----------
    about : what the file says of itself, see docs/formats.md.
    layer : its name.
    width : D of the features.

    Raises
    ------
    UserError
        A file that is missing, damaged or of another program; no such layer.
    """

    def __init__(
        self, path: str | Path, *, threads: int, layer: str | None = None, embedded: bool = False
    ) -> None:
        self.session = open_session(path, threads)
        self.about = said(self.session, path)
        self.layer = layer or self.about["features"]
        shapes = self.about["layers"]
        if self.layer not in shapes:
            raise UserError(
                f"features: the network has no layer {self.layer!r}; it has {', '.join(shapes)}"
            )
        if embedded or self.layer != self.about["features"]:
            from darkroom.infer.cut import cut

            self.session = open_session(path, threads, cut(path, self.layer, embedded=embedded))
        self.input = self.session.get_inputs()[0].name
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.width = math.prod(shapes[self.layer])

    def __call__(self, images: np.ndarray) -> Output:
        """Run it; `images` : (N, H, W, C) uint8, or features where it is `embedded`."""
        step = max(FEWEST, BYTES // max(1, images[:1].nbytes))
        parts = [
            self.session.run(None, {self.input: images[start : start + step]})
            for start in range(0, max(1, len(images)), step)
        ]
        found = dict(zip(self.outputs, map(np.concatenate, zip(*parts, strict=True)), strict=True))
        return Output(found["features"], found.get("logits"), found.get("probabilities"))

    def classified(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, D) features and (N, K) probabilities of a network with a head."""
        features, _, probabilities = self(images)
        assert probabilities is not None
        return features, probabilities


def open_session(
    path: str | Path, threads: int, model: bytes | None = None, *, optimised: bool = True
) -> Any:
    """Open a file in ONNX Runtime.

    Parameters
    ----------
    path : of the file.
    threads : cores to use.
    model : its content, where that is not as it is in the file.
    optimised : made ready to run, which takes longer than reading.

    Raises
    ------
    UserError
        No file, or none that can be read.
    """
    # ONNX Runtime would send its maker what models are opened, and keep a file in the home folder;
    # it looks when it is imported
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # a thread that waits takes no core: two took 25 % more of the processor, and were not faster
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(
            str(path) if model is None else model, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime has many kinds for files that are missing or broken
        if not Path(path).is_file():
            raise UserError(f"{path}: there is no such file") from None
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{path} cannot be loaded as a network: {reason}") from error


def read_about(path: str | Path) -> dict[str, Any]:
    """What a file says of itself; errors as those of `Network`."""
    return said(open_session(path, 1, optimised=False), path)


def said(session: Any, path: str | Path) -> dict[str, Any]:
    """What an open file says of itself.

    Raises
    ------
    UserError
        Nothing: another program wrote it.
    """
    text = session.get_modelmeta().custom_metadata_map.get(PROPERTY)
    if text is None:
        raise UserError(f"{path} was not written by Darkroom: it does not say what its classes are")
    about: dict[str, Any] = json.loads(text)
    return about
