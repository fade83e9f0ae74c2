"""Keras, started once a process on one of its backends.

Nothing else here imports Keras before `start`: threads and messages are settled at its import.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from darkroom.errors import UserError
from darkroom.machine import drivers
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.train import keras_private

BACKENDS = ("tensorflow", "jax", "torch")  # the first is installed by `make run`


def start(threads: int, name: str | None = None, gpus: Gpus = NO_GPUS) -> Any:
    """Import Keras on a backend, with so many threads, and quietly.

    Operations are made deterministic: on a CPU that costs no measurable time. Where Keras is
    imported already, its threads stay as they are.

    Parameters
    ----------
    threads : cores that one operation may use.
    name : `tensorflow`, `jax` or `torch`; None: whichever Keras runs on already, else what
        KERAS_BACKEND says, else TensorFlow.
    gpus : of this job.

    Returns
    -------
    The module `keras`.

    Raises
    ------
    UserError
        The backend's package is not installed, or a GPU was asked for by number and it sees none.
    RuntimeError
        Keras runs on another backend in this process already: it cannot change.
    """
    if (imported := sys.modules.get("keras")) is not None:
        runs_on = imported.backend.backend()
        if name not in (None, runs_on):
            raise RuntimeError(f"Keras runs on {runs_on} here already, not {name}")
        return imported
    chosen = name or os.environ.get("KERAS_BACKEND") or "tensorflow"
    check(chosen)
    os.environ["KERAS_BACKEND"] = chosen
    _prepare(chosen, threads)
    with _silent_stderr():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.experimental.enable_op_determinism()
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        elif chosen == "torch":
            import torch

            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False
            # Where a processor has AVX2 and no AVX-512, oneDNN in PyTorch 2.13 writes beyond its
            # memory in the gradient of a convolution of few channels: the process is aborted.
            if torch.backends.cpu.get_cpu_capability() == "AVX2":
                torch.backends.mkldnn.enabled = False
            # nothing here reads what it has not written: no kernel to fill each new tensor
            torch.utils.deterministic.fill_uninitialized_memory = False
        if chosen != "tensorflow":
            keras_private.hide_tensorflow()
        seen = drivers.settle(chosen, gpus)
    drivers.check(chosen, seen, gpus)
    # a person's own ~/.keras/keras.json must not change a result
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return keras


def check(name: str) -> None:
    """Check that a backend is one, and that its package is installed.

    Raises
    ------
    UserError
        It is not.
    """
    if name not in BACKENDS:
        raise UserError(f"backend: there is no {name!r}; there are {', '.join(BACKENDS)}")
    if sys.modules.get(name) is None and importlib.util.find_spec(name) is None:
        raise UserError(
            f"backend: {name} is not installed here: pip install -r envs/backends.in, or set "
            "backend: tensorflow"
        )


def _prepare(name: str, threads: int) -> None:
    """Set what a backend reads from the environment at its import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[variable] = str(threads)
    if name == "jax":
        os.environ["NPROC"] = str(threads)  # XLA's own pool of threads
        # as TensorFlow's memory growth: several jobs may share a GPU
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        _add_xla_flag("--xla_gpu_deterministic_ops=true")
    if name == "torch":  # without it cuBLAS is not deterministic
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _add_xla_flag(flag: str) -> None:
    given = os.environ.get("XLA_FLAGS", "")
    if flag.split("=")[0] not in given:
        os.environ["XLA_FLAGS"] = f"{given} {flag}".strip()


def seed_everything(seed: int) -> None:
    """Seed what Keras draws from while a network is built: the seeds of dropout.

    Not `keras.utils.set_random_seed` alone, which imports TensorFlow for every backend.
    """
    import keras

    random.seed(seed)
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Hold back what native code writes to stderr; show it only if the body fails.

    TensorFlow says a page about drivers and instruction sets before its own setting of
    the log level works.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
