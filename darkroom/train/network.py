"""A network from a short list of layers, made of stock Keras layers alone.

The first layer normalises, so a saved network takes raw uint8 pixels and loads in a plain
Keras without Darkroom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from darkroom.errors import UserError
from darkroom.train.keras_backend import seed_everything
from darkroom.train.layers import BUILDERS, MAPS, Layer, drawn, whiten

WEIGHTS = 3  # first word of the random stream of initial weights


def build_network(
    layers: Sequence[Layer],
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
    layers : in order. A layer without a name is called by its kind and its place from 1: `conv_1`,
        `dense_9`.
    shape : (height, width, channels) of an image.
    classes : K of them.
    normalise : `standard` ((x − mean) / std by channel), `unit` (0..1), `symmetric`
        (−1..1) or `none`: the layer `normalise`.
    mean : (C,) of the training rows by channel, in 0..255; read by `standard` only.
    std : as `mean`, their standard deviation.
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
    return add_layers(
        image,
        x,
        layers,
        classes=classes,
        head=head,
        taken=("image", "normalise"),
        seed=seed,
        sample=seen,
    )


def add_layers(
    inputs: Any,
    x: Any,
    layers: Sequence[Layer],
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
    inputs : of the network that is made.
    x : (B, H, W, C) or (B, D), what the layers read.
    layers : as for `build_network`.
    classes : as for `build_network`.
    head : as for `build_network`.
    taken : names of the layers before.
    seed : of initial weights.
    sample : (n, H, W, C) float32, values of `x` for some training images; for `whiten`.

    Returns
    -------
    keras.Model from `inputs` to probabilities, not compiled.

    Raises
    ------
    UserError
        As `build_network`.
    """
    import keras

    names = {*taken, head}
    draw = np.random.default_rng([WEIGHTS, seed])
    for index, layer in enumerate(layers):
        kind = next(key for key in layer if key != "name")
        spec = cast("dict[str, Any]", layer)[kind]
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
                x = whiten(x, spec, name, sample)
            else:
                x = BUILDERS[kind](x, spec, name, draw)
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
    return keras.Model(inputs, drawn(last, x, draw), name="network")


def mirrored(network: Any) -> Any:
    """A network that reads its last hidden layer as the mean over an image and its mirror image.

    With a softmax on top, that averages both images' logits (Krizhevsky et al. 2012, section
    4.1, average probabilities of ten such views). Weights are shared with the network.

    Parameters
    ----------
    network : from images to probabilities, as `build_network` makes it.
    """
    import keras

    head = network.layers[-1]
    each = keras.Model(network.input, head.input, name="each")
    image = keras.Input(network.input_shape[1:], dtype="uint8", name="image")
    mirror = keras.ops.flip(image, axis=2)
    mean = keras.layers.Average(name="mean_of_mirrors", dtype="float32")
    return keras.Model(image, head(mean([each(image), each(mirror)])), name=network.name)


def head_of(head: str, classes: int) -> str:
    """The last layer's kind: as set, or for `auto` one sigmoid unit where there are two classes.

    Raises
    ------
    UserError
        One unit cannot distinguish more than two classes.
    """
    if head == "auto":
        return "sigmoid" if classes == 2 else "softmax"
    if head == "sigmoid" and classes != 2:
        raise UserError(
            f"head: a sigmoid unit distinguishes two classes, and this data set has {classes}: "
            "set head: softmax or auto"
        )
    return head


def by_class(output: np.ndarray) -> np.ndarray:
    """What a network gives, as one column a class: (B, K) as it is, (B, 1) p as (1 − p, p)."""
    return np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output


def _normalisation(how: str, mean: Any, std: Any) -> tuple[Any, Any]:
    """Scale and shift of raw pixels."""
    if how == "standard":
        # a channel without any variation carries nothing: leave its scale alone
        sigma = [float(s) if s > 0 else 1.0 for s in np.asarray(std)]
        means = [float(m) for m in np.asarray(mean)]
        return [1 / s for s in sigma], [-m / s for m, s in zip(means, sigma, strict=True)]
    return {"unit": (1 / 255, 0.0), "symmetric": (1 / 127.5, -1.0), "none": (1.0, 0.0)}[how]


# ---------------------------------------------------------------- errors in words


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
    reason = " ".join(str(error).split())
    return f"cannot be built on {_show(before)}: {reason[:300]}"
