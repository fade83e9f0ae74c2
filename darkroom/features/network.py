"""What a trained network says of each image: the features of a layer, and its own predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from darkroom import unlikeness
from darkroom.errors import UserError
from darkroom.features.predictions import Run, write_predictions
from darkroom.images import features_file
from darkroom.images.joined import forget
from darkroom.infer.run import Network, read_about
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.machine.progress import progress
from darkroom.names import EMBEDDING, HEAD, run_name
from darkroom.train import batches

log = logging.getLogger(__name__)

Ask = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From (B, …) images, or a backbone's features, to (B, D) features and (B, K) probabilities."""


class ExtractFeatures(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    dataset, fold, model, seed : which network.
    layer : name of the layer to read; None: the last hidden one, the input of the head.
    batch : images at a time.
    backend : of Keras, for a GPU; None: TensorFlow, or the environment's.
    balance, balance_seed : of the training rows, which decide the variants that are read.
    """

    dataset: str
    fold: str
    model: str
    seed: int
    layer: str | None
    batch: int
    backend: str | None
    balance: int | str | None
    balance_seed: int


def extract_features(
    model_path: str,
    images: str,
    splits: str,
    augmented: str | None,
    *,
    features_path: str,
    predictions_path: str,
    unlike_path: str | None = None,
    cfg: ExtractFeatures,
    threads: int,
    embedded: str | None = None,
    gpus: Gpus = NO_GPUS,
) -> None:
    """Run a network once over the images of a fold; write its features and its predictions.

    Features are of every row that is not unused, and of the variants that are trained on,
    ascending by (row, variant). Predictions are of the validation and test rows.

    Parameters
    ----------
    model_path : `model.onnx`, which runs on the processor without Keras. With a GPU `model.keras`
        beside it runs on that.
    images, splits, augmented : the files of the data set.
    features_path, predictions_path, unlike_path : what to write; see docs/formats.md.
    cfg : settings.
    threads : cores to use.
    embedded : features of all images by the network's backbone, where that is frozen: it then
        does not run again.
    gpus : of the job.

    Raises
    ------
    UserError
        The network has no such layer.
    """
    name = run_name(cfg["model"], cfg["seed"])
    fold = batches.open_fold(
        images,
        splits,
        augmented,
        fold=cfg["fold"],
        balance=cfg["balance"],
        balance_seed=cfg["balance_seed"],
    )
    if embedded is not None:
        fold = fold.embedded(embedded)
    known = embedded is not None
    if gpus.count:
        layer, width, ask = _on_gpu(
            str(Path(model_path).with_suffix(".keras")), cfg, threads, gpus, embedded=known
        )
    else:
        network = Network(model_path, threads=threads, layer=cfg["layer"], embedded=known)
        layer, width, ask = network.layer, network.width, network.classified
    positions = [fold.originals("train", "validation", "test"), *fold.chosen[1:]]
    rows = fold.rows(positions)
    row = np.concatenate([f.row[p] for f, p in zip(fold.files, positions, strict=True)])
    variant = np.concatenate([f.variant[p] for f, p in zip(fold.files, positions, strict=True)])
    order = np.lexsort((variant, row))
    place = np.empty_like(order)  # where each row goes in the file
    place[order] = np.arange(len(order))

    part = fold.part[positions[0]]
    held_out = np.zeros(len(rows), bool)
    held_out[: len(part)] = np.isin(part.astype(str), ("validation", "test"))
    probabilities = np.empty((int(held_out.sum()), len(fold.classes)), np.float32)
    start, done, predicted, unwritten = time.perf_counter(), 0, 0, 0
    with (
        features_file.features_writer(
            features_path,
            len(rows),
            width,
            row[order],
            variant[order],
            name=name,
            layer=layer,
            made={"kind": "network", "model": cfg["model"], "seed": cfg["seed"]},
        ) as array,
        progress(f"features of {name}", len(rows)) as bar,
        batches.ahead(batches.in_order(rows, cfg["batch"])) as ready,
    ):
        for pixels, _ in ready:
            computed, outputs = ask(pixels)
            here = slice(done, done + len(pixels))
            array[place[here]] = computed
            kept = outputs[held_out[here]]
            probabilities[predicted : predicted + len(kept)] = kept
            done, predicted = here.stop, predicted + len(kept)
            unwritten += 4 * width * len(pixels)
            if unwritten > batches.BLOCK_BYTES:
                forget(array)
                unwritten = 0
            bar.update(len(pixels))
        if unlike_path is not None:
            at = place[: len(part)]  # of the originals, as `part` has them
            train, validation = (at[part.astype(str) == p] for p in ("train", "validation"))
            learned_from = unlikeness.known(array, train, array, validation, cfg["seed"])
            unlikeness.write(unlike_path, learned_from, layer)
    write_predictions(
        predictions_path,
        row[held_out],
        part[held_out[: len(part)]],
        rows.label[held_out],
        probabilities,
        dataset=cfg["dataset"],
        run=Run(cfg["model"], cfg["seed"], cfg["fold"], name, HEAD),
        classes=fold.classes,
        notes=_calibration(model_path),
        seconds={"predict": time.perf_counter() - start},
    )
    log.info("%d × %d features of layer %s", len(rows), width, layer)


def _calibration(model_path: str) -> list[str]:
    """How a network came to be as sure as it is."""
    if "temperature" not in read_about(model_path):
        return ["no validation rows: nothing shows how sure it may be, and it is often too sure"]
    return [
        "probabilities at a temperature learned from the validation rows, which chose its epoch too"
    ]


def _on_gpu(
    path: str, cfg: ExtractFeatures, threads: int, gpus: Gpus, *, embedded: bool
) -> tuple[str, int, Ask]:
    """Name of the layer, width of its features, and the network, by Keras."""
    from darkroom.train import keras_backend
    from darkroom.train.foreign import load_network
    from darkroom.train.network import by_class

    keras = keras_backend.start(threads, cfg["backend"], gpus)
    network = load_network(path)
    layer, output = feature_layer(network, cfg["layer"])
    if embedded:
        both = head_alone(network, output)
    else:
        both = keras.Model(network.input, [output, network.output])

    def ask(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, said = both.predict_on_batch(pixels)
        flat = np.asarray(found, np.float32).reshape(len(pixels), -1)
        return flat, by_class(np.asarray(said))

    return layer, int(np.prod(output.shape[1:])), ask


def head_alone(network: Any, output: Any) -> Any:
    """What stands on the backbone of a network.

    Parameters
    ----------
    network : from `darkroom.train.heads`. output : of the layer to be read, of the head or `embedding`.

    Returns
    -------
    keras.Model from (B, …) float32, the backbone's features, to [output, probabilities].
    """
    import keras

    features = network.get_layer(EMBEDDING).output
    if output is features:  # a model cannot give what it takes as it is
        output = keras.layers.Identity()(features)
    return keras.Model(features, [output, network.output])


def feature_layer(network: Any, name: str | None) -> tuple[str, Any]:
    """Name and output of a layer.

    Parameters
    ----------
    network : its last layer gives probabilities. name : of the layer to read; None: the last
        hidden one, whose output is the input of the last (a dropout there passes all through).

    Raises
    ------
    UserError
        There is no layer of this name.
    """
    names = {layer.name: layer for layer in network.layers}
    if name is None:
        hidden = network.layers[-1].input
        return next((n, hidden) for n, layer in names.items() if layer.output is hidden)
    if name not in names:
        raise UserError(f"features: the network has no layer {name!r}; it has {', '.join(names)}")
    return name, names[name].output
