"""In which precision a network computes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from darkroom.errors import UserError


def set_precision(precision: str, gpus: int = 1) -> str:
    """Let layers that are built from now on compute in float32, bfloat16 or float16.

    Weights, the normalisation's constants and the last layer stay float32 (Micikevicius et
    al. 2018, arXiv:1710.03740). bfloat16 has float32's range; with float16 Keras scales the
    loss, and leaves a step out where a gradient is no number.

    Parameters
    ----------
    precision : `float32`, `bfloat16`, `float16`, or `auto`: see `best_precision`.
    gpus : that share each batch.

    Returns
    -------
    Keras' name of the policy that now holds.

    Raises
    ------
    UserError
        float16 on JAX or on several GPUs.
    """
    import keras

    backend = keras.backend.backend()
    chosen = best_precision(backend, capabilities(), gpus) if precision == "auto" else precision
    if chosen == "float16" and not _scales_losses(backend, gpus):
        where = "JAX" if backend == "jax" else "several GPUs"
        raise UserError(
            f"precision: float16 needs a scaled loss, which Keras does not do well on {where}: "
            "set bfloat16, float32 or auto"
        )
    policy = "float32" if chosen == "float32" else f"mixed_{chosen}"
    keras.mixed_precision.set_global_policy(policy)
    return policy


def best_precision(backend: str, capabilities: Sequence[tuple[int, int]], gpus: int = 1) -> str:
    """What the hardware multiplies fastest without harm.

    NVIDIA's tensor cores take bfloat16 from compute capability 8.0 on (Ampere) and float16
    from 7.0 on (Volta, Turing). Of a processor, AMX takes bfloat16; TensorFlow uses it well.

    Parameters
    ----------
    backend : of Keras.
    capabilities : of the GPUs, the lowest counts; none: a processor.
    gpus : that share each batch.
    """
    if not capabilities:
        return "bfloat16" if backend == "tensorflow" and _has_amx() else "float32"
    lowest = min(capabilities)
    if lowest >= (8, 0):
        return "bfloat16"
    return "float16" if lowest >= (7, 0) and _scales_losses(backend, gpus) else "float32"


def _scales_losses(backend: str, gpus: int) -> bool:
    """Whether Keras 3.15's loss scaling can be used.

    On JAX it takes the optimizer's state from outside the step, so that several in a call
    go astray; on several GPUs each would decide by itself to leave a step out.
    """
    return backend != "jax" and gpus <= 1


def capabilities() -> list[tuple[int, int]]:
    """Compute capability of each GPU that the backend sees; (0, 0) where it is not known."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        found = [details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
        return [tuple(one.get("compute_capability") or (0, 0)) for one in found]
    if backend == "jax":
        import jax

        gpus = [device for device in jax.devices() if device.platform == "gpu"]
        return [_version(getattr(gpu, "compute_capability", "")) for gpu in gpus]
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if torch.version.hip:  # AMD's numbers mean something else
        return [(0, 0)] * count
    return [torch.cuda.get_device_capability(i) for i in range(count)]


def _version(text: str) -> tuple[int, int]:
    """`8.6` as (8, 6); what AMD's GPUs are called is (0, 0)."""
    found = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _has_amx() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in flags
