"""How sure a trained network is: its last layer is scaled by a temperature, so that its file holds
probabilities that are right as often as they say. No prediction changes by that."""

from __future__ import annotations

from typing import Any

import numpy as np

from darkroom import temperature
from darkroom.train import batches


def of_rows(network: Any, rows: batches.Rows, batch: int, mirror: bool) -> float | None:
    """The temperature of a network, learned from rows that it did not learn from.

    Parameters
    ----------
    network : its last layer gives probabilities.
    rows : that it reads.
    batch : rows at a time.
    mirror : the exported network reads the mean over an image and its mirror image.

    Returns
    -------
    None where there are no rows.
    """
    import keras

    if not len(rows):
        return None
    head = network.layers[-1]
    hidden = keras.Model(network.input, head.input)
    kernel, bias = (np.asarray(w, np.float64) for w in head.get_weights())
    logits, truth = [], []
    with batches.ahead(batches.in_order(rows, batch)) as ready:
        for images, label in ready:
            views = (images, images[:, :, ::-1]) if mirror else (images,)
            # With several GPUs, TensorFlow gives the whole batch to each and joins what they say.
            found = [np.asarray(hidden.predict_on_batch(v))[: len(v)] for v in views]
            logits.append(np.mean(found, axis=0, dtype=np.float64) @ kernel + bias)
            truth.append(label)
    z = np.concatenate(logits)
    if z.shape[1] == 1:  # one unit for the second of two classes
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    return temperature.learned(z, np.concatenate(truth))


def scale(network: Any, by: float) -> None:
    """Divide what goes into the last layer's softmax or sigmoid."""
    head = network.layers[-1]
    head.set_weights([np.asarray(w / by, w.dtype) for w in head.get_weights()])
