"""Whether `model.onnx` says what Keras says."""

from __future__ import annotations

from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.infer.run import open_session

LIMIT = 1e-5  # of a probability, where no logit is beyond ±16: rounding grows with them
FEATURES = 1e-4  # of a feature, as a share of the largest
BATCH = 8


def in_float32(network: Any) -> Any:
    """A copy of a network that computes in float32 on the processor.

    A GPU multiplies float32 in fewer digits (TF32), and mixed precision computes in bfloat16 or
    float16: ONNX Runtime is compared with neither.
    """
    import keras

    text = keras.Model(network.input, network.output).to_json()
    for name in ("mixed_bfloat16", "mixed_float16"):
        text = text.replace(f'"{name}"', '"float32"')
    # PyTorch takes "cpu:0" for another device than "cpu", and Keras then loses which numbers learn.
    with keras.device("cpu" if keras.backend.backend() == "torch" else "cpu:0"):
        plain = keras.models.model_from_json(text)
        plain.set_weights(network.get_weights())
    return plain


def check(data: bytes, network: Any, pixels: np.ndarray, path: str) -> None:
    """Compare a model with the network that it was made of.

    Parameters
    ----------
    data : the model. network : keras.Model in float32. pixels : (n, H, W, C) uint8.
    path : of the file, for the message.

    Raises
    ------
    UserError
        A probability differs by more than 1e-5 or a class is another one; a backbone's feature
        differs by more than 1e-4 of the largest.
    """
    import keras

    session = open_session(path, 1, data)
    outputs = [output.name for output in session.get_outputs()]
    for start in range(0, len(pixels), BATCH):
        part = pixels[start : start + BATCH]
        with keras.device("cpu:0"):
            theirs = np.asarray(
                keras.ops.convert_to_numpy(network(part, training=False)), np.float32
            )
        found = dict(zip(outputs, session.run(None, {"image": part}), strict=True))
        if "probabilities" in found:
            ours, logits = found["probabilities"], found["logits"]
            if theirs.shape[1] == 1:
                theirs = np.concatenate([1 - theirs, theirs], axis=1)
            what, limit = "a probability", LIMIT * max(1.0, float(np.abs(logits).max()) / 16)
            # two classes within the limit of each other may change places
            row = np.arange(len(part))
            other = (theirs.max(axis=1) - theirs[row, ours.argmax(axis=1)] > 2 * limit).sum()
        else:
            ours = found["features"]
            theirs = theirs.reshape(len(part), -1)
            what, limit, other = "a feature", FEATURES * float(np.abs(theirs).max()), 0
        same = np.isclose(ours, theirs, rtol=0, atol=limit, equal_nan=True)
        if other or not same.all():
            most = float(np.nanmax(np.abs(ours - theirs)))
            raise UserError(
                f"{path}: ONNX Runtime and Keras differ by {most:.3g} in {what} of the same image, "
                f"where {limit:.3g} is allowed: report this with the settings of the network"
            )
