"""How many threads a job asks for, so that the jobs of a run share the cores well.

Two small trainings side by side on a core each finish sooner than one after the other on
two: on 12-pixel digits a second thread gains nothing (measured: 19 s of wall and of CPU
time alike). A large one gains nearly all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from darkroom.config import Layer, Settings

# Multiplications of one batch, forward, that keep a thread busy.
WORTH_A_THREAD = 5e8


def of_training(layers: list[Layer], shape: tuple[int, int, int], batch: int, most: int) -> int:
    """Threads for training or running a network.

    Parameters
    ----------
    layers : of the model. shape : (height, width, channels) of its images.
    batch : images a step. most : upper bound.
    """
    return max(1, min(most, round(multiplications(layers, shape) * batch / WORTH_A_THREAD)))


def of_network(settings: Settings, dataset: str, name: str, *, training: bool) -> int:
    """Threads for training a model of the settings, or for running it: all where a backbone runs.

    Parameters
    ----------
    training : else its features are extracted.
    """
    model = settings.models[name]
    shape = settings.view_of(dataset, name).shape
    if model.backbone is not None:
        if model.fine_tune is not None or (training and model.augment.changes):
            return settings.threads
        shape = embedding(shape, settings.features[model.backbone].pool)
    return of_training(model.layers, shape, model.batch, settings.threads)


def embedding(shape: tuple[int, int, int], pool: str) -> tuple[int, int, int]:
    """Most that a backbone makes of an image, as (height, width, channels), before it is built.

    Parameters
    ----------
    shape : of the image. pool : `none` keeps the map, a 32nd of the image's sides.
    """
    height, width, _ = shape
    sides = (1, 1) if pool != "none" else (math.ceil(height / 32), math.ceil(width / 32))
    return *sides, 2048


def of_share(work: float, total: float, cores: int | None, most: int) -> int:
    """Threads for one of several jobs that can run side by side: its share of all their work.

    A long job gets most cores and short ones fill the rest, so none runs on one core to
    the end while the others idle (a forest of 100 s beside a kernel machine of 6 s: 104 s
    on a core each, 58 s so).

    Parameters
    ----------
    work : of the job. total : of all of them. cores : of this machine's run; None on a
    cluster, where each job has a place of its own. most : upper bound.
    """
    if cores is None:
        return most
    return max(1, min(most, cores, round(cores * work / total)))


def work_of_fit(settings: Settings, name: str) -> float:
    """Work of one fit of a classifier of the settings."""
    from darkroom.classify import fitting  # only where a fit is to be run

    given = settings.classifiers[name]
    return fitting.work(given.kind, given.settings, given.max_rows)


def work_of_fits(settings: Settings) -> float:
    """Work of all fits of the data sets in `run`."""
    total = 0.0
    for dataset in settings.run.datasets:
        work = sum(work_of_fit(settings, name) for _, name in settings.fits_of(dataset))
        total += len(settings.folds_of(dataset)) * work
    return total


class Work(NamedTuple):
    """Of one layer and one image: multiplications, values that come out, and weights, nearly."""

    multiplications: float
    values: float
    weights: float


def multiplications(layers: list[Layer], shape: tuple[int, int, int]) -> float:
    """Multiplications of one image's forward pass, nearly: convolutions and dense layers."""
    return sum(work.multiplications for work in walk(layers, shape))


def walk(layers: list[Layer], shape: tuple[int, int, int]) -> Iterator[Work]:
    """What each layer takes of an image of (height, width, channels)."""
    height, width, channels = shape
    for layer in layers:
        spec, weights, made = layer.spec, 0.0, 1
        if layer.kind == "whiten":
            height, width = max(1, height - spec.size + 1), max(1, width - spec.size + 1)
            weights = 2 * (channels * spec.size**2) ** 2
            channels *= 2 * spec.size**2
        elif layer.kind == "conv":
            height, width = math.ceil(height / spec.stride), math.ceil(width / spec.stride)
            weights = channels * spec.filters * spec.size**2
            channels = spec.filters
        elif layer.kind == "residual":
            height, width = math.ceil(height / spec.stride), math.ceil(width / spec.stride)
            weights = 9 * (channels + spec.filters) * spec.filters
            channels, made = spec.filters, 4  # two convolutions, each with its batch norm
        elif layer.kind == "pool":
            stride = spec.stride or spec.size
            height, width = max(1, height // stride), max(1, width // stride)
        elif layer.kind == "global_pool":
            height = width = 1
        elif layer.kind == "flatten":
            height, width, channels = 1, 1, height * width * channels
        elif layer.kind == "dense":
            weights = channels * spec.units
            channels = spec.units
        values = height * width * channels
        places = 1 if layer.kind == "dense" else height * width
        yield Work(places * weights, values * made, weights)
