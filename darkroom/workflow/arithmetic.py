"""What a network takes of one image: multiplications, values and weights, layer by layer."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from darkroom import ROOT
from darkroom.config.model import FineTune, Layer
from darkroom.config.recipe import NETWORKS
from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.machine.commands import said
from darkroom.workflow import remembered


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


def embedding(shape: tuple[int, int, int], pool: str) -> tuple[int, int, int]:
    """Most that a backbone makes of an image, as (height, width, channels), before it is built.

    Parameters
    ----------
    shape : of the image.
    pool : `none` keeps the map, a 32nd of the image's sides.
    """
    height, width, _ = shape
    sides = (1, 1) if pool != "none" else (math.ceil(height / 32), math.ceil(width / 32))
    return *sides, 2048


# ---------------------------------------------------------------- backbones

# A backbone that cannot be asked is taken for ResNet50, at 224 pixels.
UNKNOWN_BACKBONE = Work(4e9, 4e7, 2.5e7)
# In a process of its own: what reads the Snakefile imports no Keras. It takes some seconds, once.
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from darkroom.train import backbones, keras_backend
from darkroom.machine import gpus
gpus.take(0)
keras_backend.start(1, sys.argv[2])
print(json.dumps(backbones.work(*json.loads(sys.argv[3]))))
"""


def backbone(
    settings: Settings, name: str, shape: tuple[int, int, int], *, ask: bool = True
) -> dict[str, Work]:
    """What each layer of a pretrained network takes of an image, by the layer's name.

    Parameters
    ----------
    name : of its feature set.
    shape : (height, width, channels) of an image.
    ask : ask Keras where no run has; else one that no recipe has is taken for ResNet50 then.
    """
    given = settings.features[name]
    for network in NETWORKS if not ask else ():
        if (network.application, dict(network.settings)) == (given.application, given.settings):
            multiplications, values, weights = network.work
            area = shape[0] * shape[1] / 224**2
            return {network.name: Work(multiplications * area, values * area, weights)}
    return _asked(settings.backend, json.dumps([given.application, given.settings, shape]), ask)


@lru_cache(maxsize=64)
def _asked(backend: str, question: str, ask: bool) -> dict[str, Work]:
    key = remembered.key("backbone", question)
    found = remembered.recall(key)
    if found is None:
        words = (sys.executable, "-c", ASK, str(ROOT), backend, question)
        answer = said(*words, timeout=120) if ask else None
        if not answer:  # not asked; no Keras here, or none such: the job itself says so
            height, width, _ = json.loads(question)[2]
            area = height * width / 224**2
            m, v, w = UNKNOWN_BACKBONE
            return {"": Work(m * area, v * area, w)}
        found = json.loads(answer.splitlines()[-1])
        remembered.keep(key, found)
    return {layer: Work(*work) for layer, *work in found}


def tuned_layers(layers: Mapping[str, Work], fine_tune: FineTune) -> Work:
    """Of the layers of a backbone that train in its fine-tuning."""
    from darkroom.train import fine_tuning  # only where there is one

    try:
        first = fine_tuning.first_trained(list(layers), fine_tune.blocks, fine_tune.start)
    except UserError:  # the training says so
        # A network of a recipe, not asked for its layers, counts as a whole too. EfficientNetB0 took
        # 89 ms of CPU an image so, by a step of its last three blocks on a busy AMD EPYC; forecast were 99.
        first = 0
    return total(list(layers.values())[first:])


def total(works: Iterable[Work]) -> Work:
    """The sum of several works."""
    return Work(*map(sum, zip(Work(0, 0, 0), *works, strict=True)))
