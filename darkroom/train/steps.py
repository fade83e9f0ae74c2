"""Which steps a network trains by: Keras' own, or several a call on TensorFlow or JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.errors import UserError
from darkroom.train.devices import Devices
from darkroom.train.steps_jax import JaxSteps
from darkroom.train.steps_keras import KerasSteps, Steps
from darkroom.train.steps_tensorflow import TensorFlowSteps

if TYPE_CHECKING:
    from darkroom.train.settings import Model

PER_CALL = 16  # steps of one call on a GPU, where the settings leave it open


def choose(network: Any, settings: Model, on: Devices, *, rows: np.ndarray | None) -> Steps:
    """Choose how a network is to be trained, by `compile`, `steps_per_call` and `on_device`.

    Parameters
    ----------
    network : compiled.
    settings : of the model.
    on : the devices.
    rows : (N, …) training rows, where all are held in memory and nothing changes them at random
        on the way; else None.

    Raises
    ------
    UserError
        `compile: always` of TensorFlow over several GPUs; any of the three asked of PyTorch.
    """
    import keras

    backend, gpu = keras.backend.backend(), on.kind == "gpu"
    if backend == "torch":
        return _on_torch(network, settings)
    calls, resident = settings["steps_per_call"], settings["on_device"]
    per_call = (PER_CALL if gpu else 1) if calls == "auto" else int(calls)
    held = rows if resident == "always" or (resident == "auto" and gpu) else None
    if on.count > 1:
        held = None  # each GPU would hold and cut all of them
    compile_ = settings["compile"] == "always"
    if compile_ and backend == "tensorflow" and on.count > 1:
        raise UserError(
            "compile: always: TensorFlow compiles for one GPU alone, and this training has "
            f"{on.count}: set compile: auto, or gpus: 1"
        )
    if backend == "tensorflow":
        return TensorFlowSteps(network, on, per_call, compile_, held)
    if per_call == 1 and held is None and on.count == 1 and not compile_:
        return KerasSteps(network)
    return JaxSteps(network, on, per_call, held)


def _on_torch(network: Any, settings: Model) -> Steps:
    for key in ("compile", "steps_per_call", "on_device"):
        value = settings[key]
        if value not in ("auto", "never", 1):
            raise UserError(
                f"{key}: {value}: with backend: torch Keras takes one plain step a call: leave it "
                "at auto"
            )
    return KerasSteps(network)
