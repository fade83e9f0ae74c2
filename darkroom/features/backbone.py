"""Frozen features: one pass of a pretrained backbone over all images and variants."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from darkroom.errors import UserError
from darkroom.images import features_file, store
from darkroom.images.joined import forget
from darkroom.infer.run import Network
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.machine.progress import progress
from darkroom.names import EMBEDDING
from darkroom.train import batches

log = logging.getLogger(__name__)


class EmbedImages(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    name : of the feature set.
    application, settings, pool : the backbone, see `backbones.build`.
    batch : images per batch.
    backend : of Keras, for a GPU; None: that of the environment, or TensorFlow.
    """

    name: str
    application: str
    settings: dict[str, Any]
    pool: str
    batch: int
    backend: str | None


def embed_images(
    images: str,
    weights: str,
    features: str,
    *,
    augmented: str | None = None,
    cfg: EmbedImages,
    threads: int,
    gpus: Gpus = NO_GPUS,
) -> None:
    """Compute the features of all images and variants.

    They do not depend on the fold, so one file serves all. Memory holds a few batches.

    Parameters
    ----------
    images : the view's `images/{view}.h5`.
    weights : the backbone as ONNX, which runs on the processor without Keras. With a GPU the HDF5
        file beside it runs on that.
    features : the file to write: (M, D) float32, all images, then all variants. A map of
        (h, w, C) is one row of D = h·w·C, with its shape in `made`.
    augmented : the view's `augmented/{view}.h5`, where there is one.
    cfg : settings of the stage.
    threads : cores to use.
    gpus : GPUs of the job.

    Raises
    ------
    UserError
        The backbone cannot be built for these images, or the weights are not its own.
    """
    files = [store.open_images(path) for path in (images, augmented) if path]
    what: dict[str, Any] = {
        "application": cfg["application"],
        "settings": cfg["settings"],
        "pool": cfg["pool"],
    }
    if gpus.count:
        shape, ask = _on_gpu(
            str(Path(weights).with_suffix(".h5")), files[0].images.shape[1:], cfg, threads, gpus
        )
    else:
        network = Network(weights, threads=threads)
        shape, ask = network.about["layers"][EMBEDDING], lambda pixels: network(pixels).features
    row = np.concatenate([f.row for f in files])
    variant = np.concatenate([f.variant for f in files])
    every = batches.Rows(
        [f.images for f in files], [np.arange(len(f)) for f in files], np.zeros(len(row), np.int64)
    )
    made = {
        "kind": "backbone",
        "view": files[0].view,
        "decode": files[0].decode,
        "weights": weights,
        "shape": shape,
        **what,
    }
    given = [f"{key} {value}" for key, value in cfg["settings"].items()]
    layer = ", ".join([cfg["application"], *given, f"pool: {cfg['pool']}"])
    width = int(np.prod(shape))
    with (
        features_file.features_writer(
            features, len(row), width, row, variant, name=cfg["name"], layer=layer, made=made
        ) as out,
        progress(f"{cfg['name']}: embedding", len(row)) as bar,
        batches.ahead(batches.in_order(every, cfg["batch"])) as ready,
    ):
        done = unwritten = 0
        for pixels, _ in ready:
            found = ask(pixels)
            out[done : done + len(pixels)] = found.reshape(len(pixels), width)
            done, unwritten = done + len(pixels), unwritten + found.nbytes
            if unwritten > batches.BLOCK_BYTES:
                forget(out)
                unwritten = 0
            bar.update(len(pixels))
    log.info(
        "%s: %s features (%s) of each of %d images and %d variants",
        cfg["name"],
        "×".join(map(str, shape)),
        layer,
        len(files[0]),
        len(row) - len(files[0]),
    )


def _on_gpu(
    weights: str, shape: tuple[int, ...], cfg: EmbedImages, threads: int, gpus: Gpus
) -> tuple[list[int], Callable[[np.ndarray], np.ndarray]]:
    """Shape of an image's features, and the backbone by Keras."""
    from darkroom.train import backbones, keras_backend

    keras_backend.start(threads, cfg["backend"], gpus)
    try:
        network = backbones.build(
            cfg["application"], cfg["settings"], pool=cfg["pool"], shape=shape, weights=weights
        )
    except UserError as error:
        raise UserError(f"features.{cfg['name']}: {error}") from None
    return [int(side) for side in network.output_shape[1:]], lambda pixels: np.asarray(
        network.predict_on_batch(pixels), np.float32
    )
