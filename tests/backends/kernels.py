"""What stands in for Keras' own code, a process of its own for each backend.

python -m tests.backends.kernels jax|torch|refused

Prints JSON. JAX: how far values and gradients of a pooling are from those of Keras. PyTorch: by
optimiser, which operations of a step read from the host or wait for it; and what is said where a
card refuses to record one.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from darkroom.errors import UserError
from darkroom.train import kernels, models, steps, training
from tests.support import tiny_data

OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "sgd"},
    {"name": "momentum", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"name": "adam"},
    {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0},
    {"name": "rmsprop"},
    {"name": "adagrad"},
    {"name": "nadam"},
]


def pooling() -> dict[str, list[float]]:
    keras = models.backend(1, "jax")
    import jax

    random = np.random.default_rng(0)
    found = {}
    for size, shape in (
        (2, (3, 6, 8, 5)),
        (2, (2, 7, 5, 4)),
        (3, (2, 9, 10, 3)),
        (1, (2, 4, 4, 2)),
    ):
        # few values, so that several of a window are the largest
        maps = random.integers(0, 4, shape).astype(np.float32)
        answers = []
        for ours in (False, True):
            image = keras.Input(shape[1:])
            network = keras.Model(image, keras.layers.MaxPooling2D(size)(image))
            if ours:
                kernels.install(network)
                assert "call" in vars(network.layers[1])
            above = np.random.default_rng(1).normal(size=network(maps).shape).astype(np.float32)

            def summed(maps: Any, network: Any = network, above: Any = above) -> Any:
                return (network(maps) * above).sum()

            answers.append((np.asarray(network(maps)), np.asarray(jax.grad(summed)(maps))))
        found[f"{size} of {shape}"] = [
            float(np.abs(a - b).max()) for a, b in zip(*answers, strict=True)
        ]
    return found


def recording() -> dict[str, list[str]]:
    models.backend(1, "torch")
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Spy(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(
            self, called: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if str(called).split(".")[1] in ("_local_scalar_dense", "lift_fresh", "nonzero"):
                seen.append(str(called))
            return called(*args, **(kwargs or {}))

    found = {}
    for optimizer in OPTIMIZERS:
        settings = tiny_data.settings(optimizer=tiny_data.MODEL["optimizer"] | optimizer)["model"]
        network = models.build(
            settings["layers"],
            shape=tiny_data.SHAPE,
            classes=3,
            normalise="unit",
            mean=[],
            std=[],
            seed=0,
        )
        training.compile_(network, models.optimizer(settings["optimizer"]), 0.1)
        way = steps.OnTorch(network, steps.Devices("cpu", 1), 1, False)
        batch = [torch.zeros(4, *tiny_data.SHAPE, dtype=torch.uint8), torch.eye(4)[:, :3]]
        batch += [torch.ones(4), torch.tensor(0.01)]
        ways = {optimizer["name"]: steps._recordable(torch)}
        if not found:
            ways = {"as Keras has it": contextlib.nullcontext(), **ways}
        for name, way_of in ways.items():
            seen: list[str] = []
            with way_of:
                way._step(batch)
                with Spy():
                    way._step(batch)
            found[name] = seen
    return found


def refused() -> str:
    models.backend(1, "torch")
    import torch

    @contextlib.contextmanager
    def graph(_: Any) -> Iterator[None]:
        yield
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    pretended = {
        "graph": graph,
        "stream": lambda _: contextlib.nullcontext(),
        **{name: mock.Mock() for name in ("CUDAGraph", "Stream", "current_stream")},
        **{name: mock.Mock() for name in ("get_rng_state", "set_rng_state")},
    }
    settings = tiny_data.settings()["model"]
    shape = tiny_data.SHAPE
    network = models.build(
        settings["layers"], shape=shape, classes=3, normalise="unit", mean=[], std=[], seed=0
    )
    training.compile_(network, models.optimizer(settings["optimizer"]), 0.1)
    way = steps.OnTorch(network, steps.Devices("cpu", 1), 1, True)
    stack = np.zeros((1, 4, *shape), np.uint8), np.eye(4, dtype=np.float32)[None, :, :3], None
    try:
        with mock.patch.multiple(torch.cuda, **pretended):
            way.train(stack, [0.01])
    except UserError as error:
        return str(error)
    return "nothing was refused"


if __name__ == "__main__":
    asked: dict[str, Callable[[], Any]] = {"jax": pooling, "torch": recording, "refused": refused}
    print(json.dumps(asked[sys.argv[1]]()))
