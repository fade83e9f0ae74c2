"""A trained network for LiteRT (TensorFlow Lite), in float32 and in int8, and what int8 costs."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.decode.quiet import quiet
from darkroom.errors import UserError
from darkroom.features import predictions
from darkroom.infer import parity
from darkroom.machine import hardware
from darkroom.train import foreign, keras_backend

FILES = {"float32": "model.tflite", "int8": "model-int8.tflite"}


def write(path: str, out: Path, ranges: np.ndarray, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Write the network as `FILES`: pixels in as in `model.onnx`, what `model.keras` gives out.

    Parameters
    ----------
    path : of `model.keras`.
    out : folder to write to.
    ranges : (n, H, W, C) uint8 images that the ranges of int8 are learned from.
    pixels : (N, H, W, C) uint8 images to predict.

    Returns
    -------
    By file name the (N, K) float32 probabilities of `pixels`.

    Raises
    ------
    UserError
        Keras does not run on TensorFlow; a layer that LiteRT does not have.
    """
    keras = keras_backend.start(hardware.cores())
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            "LiteRT files are written by TensorFlow alone, and Keras runs on "
            f"{keras.backend.backend()}: unset KERAS_BACKEND, or export another --kind"
        )
    import tensorflow as tf

    network = parity.in_float32(foreign.load_network(path))
    found = {}
    for kind, name in FILES.items():
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        if kind == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[None]] for image in ranges)
        try:
            silent = contextlib.redirect_stdout(io.StringIO())
            with quiet, silent, warnings.catch_warnings(action="ignore"):
                data = converter.convert()
                found[name] = np.concatenate(list(_predicted(tf, data, pixels)))
        except Exception as error:  # the converter has many kinds
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"{path} has no form in LiteRT: {reason}") from error
        (out / name).write_bytes(data)
    return found


def _predicted(tf: Any, data: bytes, pixels: np.ndarray) -> Iterator[np.ndarray]:
    """(1, K) probabilities of each image."""
    interpreter = tf.lite.Interpreter(model_content=data, num_threads=hardware.cores())
    given, gives = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(given["index"], [1, *pixels.shape[1:]])
    interpreter.allocate_tensors()
    for image in pixels:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        p = interpreter.get_tensor(gives["index"])
        yield predictions.as_stored(np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p)
