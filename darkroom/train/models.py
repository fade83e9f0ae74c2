"""A network from a short list of layers, made of stock Keras layers alone.

The first layer normalises, so a saved network takes raw uint8 pixels and loads in a plain
Keras without Darkroom. Keras is imported by `backend`, never before: threads and messages
are settled at its first import.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.machine import drivers
from darkroom.machine.gpus import NO_GPUS, Gpus

BACKENDS = ("tensorflow", "jax", "torch")  # the first is installed by `make run`
CUT_DEVIATION = 0.87962566103423978  # of a standard normal cut at ±2
WEIGHTS = 3  # first word of the random stream of initial weights
MAPS = ("conv", "pool", "global_pool", "residual", "whiten")  # they read a map (H, W, C)


# ---------------------------------------------------------------- the backend


def backend(threads: int, name: str | None = None, gpus: Gpus = NO_GPUS) -> Any:
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
    check_backend(chosen)
    os.environ["KERAS_BACKEND"] = chosen
    _prepare_backend(chosen, threads)
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
            # nothing here reads what it has not written: no kernel to fill each new tensor
            torch.utils.deterministic.fill_uninitialized_memory = False
        if chosen != "tensorflow":
            # to read a file Keras would import it, which takes seconds and may take the GPU
            from keras.src.utils.module_utils import tensorflow

            tensorflow._available = False
        seen = drivers.settle(chosen, gpus)
    drivers.check(chosen, seen, gpus)
    # a person's own ~/.keras/keras.json must not change a result
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return keras


def check_backend(name: str) -> None:
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


def _prepare_backend(name: str, threads: int) -> None:
    """What a backend reads from the environment at its import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[variable] = str(threads)
    if name == "jax":
        os.environ["NPROC"] = str(threads)  # XLA's own pool of threads
        # as TensorFlow's memory growth: several jobs may share a card
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


# ---------------------------------------------------------------- the network


def build(
    layers: Sequence[dict[str, Any]],
    *,
    shape: tuple[int, ...],
    classes: int,
    normalise: str,
    mean: Sequence[float] | np.ndarray,
    std: Sequence[float] | np.ndarray,
    seed: int,
    head: str = "softmax",
    sample: np.ndarray | None = None,
) -> Any:
    """Build a network with fresh weights.

    Parameters
    ----------
    layers : single-key mappings with their settings (one left out is none), e.g.
        `{"conv": {"filters": 32, "size": 3, ...}}`, each with an optional `name`;
        the settings are those of `darkroom.config.model.Layer`. A layer without a name is
        called by its kind and its place from 1: `conv_1`, `dense_9`.
    shape : (height, width, channels) of an image.
    classes : K of them.
    normalise : `standard` ((x − mean) / std by channel), `unit` (0..1), `symmetric`
        (−1..1) or `none`: the layer `normalise`.
    mean, std : (C,) of the training rows by channel, in 0..255; read by `standard` only.
    seed : of initial weights, which NumPy draws, so that they are equal on every backend, and
        of dropout; sets Python's, NumPy's and the backend's seeds.
    head : `softmax`, K units; `sigmoid`, one unit: the probability of the second of two
        classes. The last layer has this name and is added here.
    sample : (n, H, W, C) uint8, training images; only `whiten` reads them.

    Returns
    -------
    keras.Model from (B, H, W, C) uint8 to (B, K), or (B, 1), float32 probabilities, not
    compiled.

    Raises
    ------
    UserError
        A layer that does not fit where it stands, with its index and the shapes.
    """
    import keras

    seed_everything(seed)
    scale, offset = _normalisation(normalise, mean, std)
    image = keras.Input(shape, dtype="uint8", name="image")
    # in float32 whatever the rest computes in: 1/255 would be rounded to three digits
    x = keras.layers.Rescaling(scale, offset, name="normalise", dtype="float32")(image)
    seen = None if sample is None else sample * np.float32(scale) + np.float32(offset)
    return top(
        image,
        x,
        layers,
        classes=classes,
        head=head,
        taken=("image", "normalise"),
        seed=seed,
        sample=seen,
    )


def top(
    inputs: Any,
    x: Any,
    layers: Sequence[dict[str, Any]],
    *,
    classes: int,
    head: str,
    taken: Sequence[str],
    seed: int,
    sample: np.ndarray | None = None,
) -> Any:
    """Put layers, and one for the classes, on a tensor.

    Parameters
    ----------
    inputs : of the network that is made. x : (B, H, W, C) or (B, D), what the layers read.
    layers, classes, head : as for `build`. taken : names of the layers before.
    seed : of initial weights.
    sample : (n, H, W, C) float32, values of `x` for some training images; for `whiten`.

    Returns
    -------
    keras.Model from `inputs` to probabilities, not compiled.

    Raises
    ------
    UserError
        As `build`.
    """
    import keras

    names = {*taken, head}
    draw = np.random.default_rng([WEIGHTS, seed])
    for index, layer in enumerate(layers):
        kind, spec = next((k, v) for k, v in layer.items() if k != "name" and v is not None)
        name = layer.get("name") or f"{kind}_{index + 1}"
        where = f"layers[{index}] ({kind})"
        if name in names:
            raise UserError(f"{where}: the name {name!r} is taken; choose another")
        names.add(name)
        before = tuple(x.shape[1:])
        _check_rank(where, kind, before)
        if kind == "whiten" and (index or sample is None):
            raise UserError(
                f"{where} is made of the images: it stands first, and not on a backbone"
            )
        try:
            if kind == "whiten":
                x = _whiten(x, spec, name, sample)
            else:
                x = _apply(x, kind, spec, name, draw)
        except (ValueError, TypeError) as error:
            raise UserError(f"{where} {_why(kind, spec, before, error)}") from None
        if any(side is not None and side < 1 for side in x.shape[1:]):
            raise UserError(f"{where} {_too_small(kind, spec, before)}")
    if len(x.shape) != 2:
        raise UserError(
            f"layers: the list ends in a map of {_show(x.shape[1:])}; "
            "add flatten or global_pool at its end"
        )
    units = 1 if head == "sigmoid" else classes
    # probabilities in float32, whatever the layers before compute in
    last = keras.layers.Dense(units, activation=head, name=head, dtype="float32")
    return keras.Model(inputs, _drawn(last, x, draw), name="network")


def mirrored(network: Any) -> Any:
    """A network that reads its last hidden layer as the mean over an image and its mirror image.

    With a softmax on top, that averages both images' logits (Krizhevsky et al. 2012, section
    4.1, average probabilities of ten such views). Weights are shared with the network.

    Parameters
    ----------
    network : from images to probabilities, as `build` makes it.
    """
    import keras

    head = network.layers[-1]
    each = keras.Model(network.input, head.input, name="each")
    image = keras.Input(network.input_shape[1:], dtype="uint8", name="image")
    mirror = keras.ops.flip(image, axis=2)
    mean = keras.layers.Average(name="mean_of_mirrors", dtype="float32")
    return keras.Model(image, head(mean([each(image), each(mirror)])), name=network.name)


def head_of(asked: str, classes: int) -> str:
    """The last layer's kind: as asked, or for `auto` one sigmoid unit where there are two classes.

    Raises
    ------
    UserError
        One unit cannot tell more than two classes.
    """
    if asked == "auto":
        return "sigmoid" if classes == 2 else "softmax"
    if asked == "sigmoid" and classes != 2:
        raise UserError(
            f"head: a sigmoid unit tells two classes and this data set has {classes}: "
            "set head: softmax or auto"
        )
    return asked


def probabilities(output: np.ndarray) -> np.ndarray:
    """What a network gives, as one column a class: (B, K) as it is, (B, 1) p as (1 − p, p)."""
    return np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output


def set_precision(asked: str, cards: int = 1) -> str:
    """Let layers that are built from now on compute in float32, bfloat16 or float16.

    Weights, the normalisation's constants and the last layer stay float32 (Micikevicius et
    al. 2018, arXiv:1710.03740). bfloat16 has float32's range; with float16 Keras scales the
    loss, and leaves a step out where a gradient is no number.

    Parameters
    ----------
    asked : `float32`, `bfloat16`, `float16`, or `auto`: see `best_precision`.
    cards : that share each batch.

    Returns
    -------
    Keras' name of the policy that now holds.

    Raises
    ------
    UserError
        float16 on JAX or on several cards.
    """
    import keras

    backend = keras.backend.backend()
    chosen = best_precision(backend, capabilities(), cards) if asked == "auto" else asked
    if chosen == "float16" and not _scales_losses(backend, cards):
        where = "JAX" if backend == "jax" else "several cards"
        raise UserError(
            f"precision: float16 needs a scaled loss, which Keras does not do well on {where}: "
            "set bfloat16, float32 or auto"
        )
    policy = "float32" if chosen == "float32" else f"mixed_{chosen}"
    keras.mixed_precision.set_global_policy(policy)
    return policy


def best_precision(backend: str, capabilities: Sequence[tuple[int, int]], cards: int = 1) -> str:
    """What the hardware multiplies fastest without harm.

    NVIDIA's tensor cores take bfloat16 from compute capability 8.0 on (Ampere) and float16
    from 7.0 on (Volta, Turing). Of a processor, AMX takes bfloat16; TensorFlow uses it well.

    Parameters
    ----------
    backend : of Keras. capabilities : of the cards, the lowest counts; none: a processor.
    cards : that share each batch.
    """
    if not capabilities:
        return "bfloat16" if backend == "tensorflow" and _has_amx() else "float32"
    lowest = min(capabilities)
    if lowest >= (8, 0):
        return "bfloat16"
    return "float16" if lowest >= (7, 0) and _scales_losses(backend, cards) else "float32"


def _scales_losses(backend: str, cards: int) -> bool:
    """Whether Keras 3.15's loss scaling can be used.

    On JAX it takes the optimiser's state from outside the step, so that several in a call
    go astray; on several cards each would decide by itself to leave a step out.
    """
    return backend != "jax" and cards <= 1


def capabilities() -> list[tuple[int, int]]:
    """Compute capability of each card that the backend sees; (0, 0) where it tells none."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        told = [details(card) for card in tf.config.list_physical_devices("GPU")]
        return [tuple(one.get("compute_capability") or (0, 0)) for one in told]
    if backend == "jax":
        import jax

        found = [d for d in jax.devices() if d.platform == "gpu"]
        return [_version(getattr(d, "compute_capability", "")) for d in found]
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if torch.version.hip:  # AMD's numbers mean something else
        return [(0, 0)] * count
    return [torch.cuda.get_device_capability(i) for i in range(count)]


def _version(text: str) -> tuple[int, int]:
    """`8.6` as (8, 6); what AMD's cards are called is (0, 0)."""
    found = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _has_amx() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in flags


def _normalisation(how: str, mean: Any, std: Any) -> tuple[Any, Any]:
    """Scale and offset of raw pixels."""
    if how == "standard":
        # a channel without any variation carries nothing: leave its scale alone
        sigma = [float(s) if s > 0 else 1.0 for s in np.asarray(std)]
        means = [float(m) for m in np.asarray(mean)]
        return [1 / s for s in sigma], [-m / s for m, s in zip(means, sigma, strict=True)]
    return {"unit": (1 / 255, 0.0), "symmetric": (1 / 127.5, -1.0), "none": (1.0, 0.0)}[how]


def _drawn(layer: Any, x: Any, draw: np.random.Generator) -> Any:
    """Apply a layer whose kernel NumPy draws as the layer's initialiser would.

    Glorot & Bengio 2010, uniform; He et al. 2015, arXiv:1502.01852, a normal cut at two
    standard deviations and widened, so that the variance is the asked one.
    """
    output = layer(x)
    kernel, *rest = layer.get_weights()
    receptive = int(np.prod(kernel.shape[:-2]))
    fan_in, fan_out = receptive * kernel.shape[-2], receptive * kernel.shape[-1]
    if type(layer.kernel_initializer).__name__ == "HeNormal":
        values = draw.standard_normal(kernel.shape)
        while (far := np.abs(values) > 2).any():
            values[far] = draw.standard_normal(int(far.sum()))
        values *= math.sqrt(2 / fan_in) / CUT_DEVIATION
    else:
        most = math.sqrt(6 / (fan_in + fan_out))
        values = draw.uniform(-most, most, kernel.shape)
    layer.set_weights([values.astype(np.float32), *rest])
    return output


def _apply(x: Any, kind: str, spec: dict[str, Any], name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    if kind == "conv":
        conv = layers.Conv2D(
            spec["filters"],
            spec["size"],
            strides=spec["stride"],
            padding=spec["padding"],
            activation=spec.get("activation"),
            use_bias=spec["bias"],
            kernel_initializer="he_normal" if spec["init"] == "he" else "glorot_uniform",
            name=name,
        )
        output = _drawn(conv, x, draw)
        if spec["init"] == "identity":
            conv.set_weights([_passing(conv.get_weights()[0]), *conv.get_weights()[1:]])
        return output
    if kind == "pool":
        pool = layers.MaxPooling2D if spec["kind"] == "max" else layers.AveragePooling2D
        return pool(spec["size"], strides=spec.get("stride"), name=name)(x)
    if kind == "batch_norm":
        return layers.BatchNormalization(
            momentum=spec["momentum"], epsilon=spec["epsilon"], scale=spec["scale"], name=name
        )(x)
    if kind == "dropout":
        # with a seed PyTorch too counts what was drawn, so that a resumed training agrees
        seed = int(draw.integers(1, 1 << 30))
        return layers.Dropout(spec["rate"], seed=seed, name=name)(x)
    if kind == "global_pool":
        mean = spec["kind"] == "average"
        pool = layers.GlobalAveragePooling2D if mean else layers.GlobalMaxPooling2D
        return pool(name=name)(x)
    if kind == "flatten":
        return layers.Flatten(name=name)(x)
    if kind == "dense":
        dense = layers.Dense(spec["units"], activation=spec.get("activation"), name=name)
        return _drawn(dense, x, draw)
    if kind == "activation":
        return layers.Activation(spec["function"], name=name)(x)
    if kind == "scale":
        return layers.Rescaling(spec["factor"], name=name)(x)
    return _residual(x, spec["filters"], spec["stride"], spec["activation"], name, draw)


def _passing(kernel: np.ndarray) -> np.ndarray:
    """Kernels of which the first ones pass their own channel on (arXiv:2404.00498, section 3.3).

    Parameters
    ----------
    kernel : (size, size, channels, filters) with the weights that the other filters keep.
    """
    size, _, channels, filters = kernel.shape
    most = min(channels, filters)
    kernel[..., :most] = 0
    kernel[size // 2, size // 2, range(most), range(most)] = 1
    return kernel


def _whiten(x: Any, spec: dict[str, Any], name: str, images: Any) -> Any:
    """A frozen convolution by the eigenvectors of the patches' covariance.

    Each is divided by the root of its eigenvalue, so that all vary alike, and comes with both
    signs, so that a rectifier loses nothing (Page 2018, "How to train your ResNet"; Jordan
    2024, arXiv:2404.00498, section 3.2).

    Parameters
    ----------
    images : (n, H, W, C) float32 training images as the layer sees them.
    """
    from keras import layers

    size = spec["size"]
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = np.moveaxis(windows, 3, 5).reshape(-1, size * size * images.shape[3])
    value, vector = np.linalg.eigh(patches.T @ patches / len(patches))
    vector = vector / np.sqrt(value + 5e-4)  # what hardly varies is noise: it is not blown up
    kernel = vector[:, ::-1].reshape(size, size, images.shape[3], -1)
    layer = layers.Conv2D(
        2 * kernel.shape[3], size, activation=spec.get("activation"), use_bias=False, name=name
    )
    output = layer(x)
    layer.set_weights([np.concatenate([kernel, -kernel], axis=3)])
    layer.trainable = False
    return output


def _residual(
    x: Any, filters: int, stride: int, activation: str, name: str, draw: np.random.Generator
) -> Any:
    """Two 3×3 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385, figure 2).

    Where the size changes, the shortcut is a 1×1 convolution (their option B). The
    block's last layer, after the addition, has the block's name.
    """
    from keras import layers

    def convolve(y: Any, size: int, step: int, part: str) -> Any:
        conv = layers.Conv2D(
            filters,
            size,
            strides=step,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_conv{part}",
        )
        y = _drawn(conv, y, draw)
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm{part}")(y)

    y = convolve(x, 3, stride, "1")
    y = layers.Activation(activation, name=f"{name}_activation1")(y)
    y = convolve(y, 3, 1, "2")
    same = stride == 1 and x.shape[-1] == filters
    shortcut = x if same else convolve(x, 1, stride, "0")
    y = layers.Add(name=f"{name}_add")([y, shortcut])
    return layers.Activation(activation, name=name)(y)


# ---------------------------------------------------------------- mistakes in words


def _show(shape: Sequence[int | None]) -> str:
    return "×".join(str(side) for side in shape)


def _check_rank(where: str, kind: str, before: tuple[int, ...]) -> None:
    """A map must be flattened or pooled before dense, and no map comes back after that."""
    if kind in MAPS and len(before) != 3:
        raise UserError(
            f"{where} needs a map (height×width×channels) but gets a vector of {before[0]}: "
            "move it before the flatten or global_pool"
        )
    if kind == "dense" and len(before) != 1:
        raise UserError(
            f"{where} needs a vector but gets a map of {_show(before)}: "
            "put flatten or global_pool before it"
        )


def _too_small(kind: str, spec: dict[str, Any], before: tuple[int, ...]) -> str:
    size = spec.get("size")
    return (
        f"of size {size} does not fit a map of {_show(before)}: "
        f"leave it out, or take a larger view{' or padding: same' if kind == 'conv' else ''}"
    )


def _why(kind: str, spec: dict[str, Any], before: tuple[int, ...], error: Exception) -> str:
    import keras

    for key in ("activation", "function"):
        if spec.get(key) is not None:
            try:
                keras.activations.get(spec[key])
            except (ValueError, TypeError):
                return f"{key} is {spec[key]!r}, which Keras does not know; relu, gelu, tanh …"
    if kind in ("conv", "pool", "whiten") and min(before[:2]) < spec["size"]:
        return _too_small(kind, spec, before)
    said = " ".join(str(error).split())
    return f"cannot be built on {_show(before)}: {said[:300]}"


# ---------------------------------------------------------------- optimiser and schedule


def optimizer(settings: dict[str, Any]) -> Any:
    """A Keras optimiser.

    Parameters
    ----------
    settings : as `darkroom.config.model.Optimizer`. Weight decay is decoupled from the gradient
        for every optimiser (Loshchilov & Hutter 2019, arXiv:1711.05101); `clip_norm`
        bounds the norm of all gradients together.

    Raises
    ------
    UserError
        `nesterov` with an optimiser that has none.
    """
    import keras

    kind = settings["name"]
    if settings["nesterov"] and kind != "momentum":
        raise UserError(f"optimizer.nesterov goes with optimizer.name: momentum, not {kind}")
    common = {
        "learning_rate": settings["learning_rate"],
        "weight_decay": settings["weight_decay"] or None,
        "global_clipnorm": settings["clip_norm"],
    }
    if kind == "sgd":
        return keras.optimizers.SGD(**common)
    if kind == "momentum":
        return keras.optimizers.SGD(
            momentum=settings["momentum"], nesterov=settings["nesterov"], **common
        )
    if kind == "rmsprop":
        return keras.optimizers.RMSprop(momentum=settings["momentum"], **common)
    if kind == "adamw":  # None there means Keras' own default, not none
        return keras.optimizers.AdamW(**common | {"weight_decay": settings["weight_decay"]})
    return keras.optimizers.Adam(**common)


def rate(step: int, steps: int, peak: float, schedule: dict[str, Any]) -> float:
    """Learning rate of one step: of its number alone, so that a resumed training agrees.

    Parameters
    ----------
    step : 0 … steps − 1, over all epochs. steps : of the whole training.
    peak : `optimizer.learning_rate`.
    schedule : `name`; `warmup`, fraction of the steps in which the rate rises in a line;
        `final`, what it falls to, as a fraction of the peak (not for `constant`).
        `cosine`: Loshchilov & Hutter 2017, arXiv:1608.03983, one period, no restart.
        `one_cycle`: from peak / 25 up in a line and down in a line (Smith 2018,
        arXiv:1803.09820); rises for 0.3 of the steps where `warmup` is 0. The momentum
        is not cycled.
    """
    cycle = schedule["name"] == "one_cycle"
    warmup = (schedule["warmup"] or 0.3) if cycle else schedule["warmup"]
    rising = round(warmup * steps)
    if step < rising:
        start = 1 / 25 if cycle else 0.0
        return float(peak * (start + (1 - start) * (step + 1) / rising))
    if schedule["name"] == "constant":
        return float(peak)
    done = (step - rising) / (steps - rising)  # 0 at the peak; 1 would be the step after the last
    falling = 1 - done if cycle else (1 + math.cos(math.pi * done)) / 2
    return float(peak * (schedule["final"] + (1 - schedule["final"]) * falling))
