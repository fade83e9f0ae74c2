"""Pretrained networks of `keras.applications` without their top: from raw pixels to features.

What an application wants done to its pixels is found by asking its own `preprocess_input`
and becomes stock layers, so a network built here takes uint8 and loads in a plain Keras.
Which file holds its ImageNet weights, and that file's hash, is found by letting the
application ask for it. There is no table of networks here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from darkroom.errors import UserError, nearest
from darkroom.names import EMBEDDING
from darkroom.train.keras_private import downloads_answered, shapes_alone

if TYPE_CHECKING:
    import numpy as np

# What Darkroom settles itself: no `settings` of a feature set.
OURS = {
    "include_top",
    "weights",
    "input_tensor",
    "input_shape",
    "pooling",
    "classes",
    "classifier_activation",
    "name",
    "include_preprocessing",
}
UNFIT = (
    ValueError,
    TypeError,
    OSError,
    KeyError,
    UserWarning,
)  # what Keras raises where weights do not fit


class Backbone(TypedDict):
    """A pretrained network, as `darkroom.config.classifier.FeatureSet` describes it.

    Attributes
    ----------
    name : of the feature set.
    application : in `keras.applications`.
    settings : of that function, such as `{"alpha": 0.25}`.
    pool : over the last map.
    """

    name: str
    application: str
    settings: dict[str, Any]
    pool: str


@dataclass(frozen=True)
class Official:
    """The published file of an application's ImageNet weights without the top.

    Attributes
    ----------
    address : where it is.
    name : of the file.
    digest : as Keras has it, in hexadecimal digits: md5 (32) or sha256 (64); None where Keras
        has none.
    """

    address: str
    name: str
    digest: str | None


# ---------------------------------------------------------------- which application


def names() -> list[str]:
    """Names of the applications, read from the package's list without importing Keras.

    Empty where there is no Keras here, or one that lists them otherwise.
    """
    spec = importlib.util.find_spec("keras")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        listed = Path(folder) / "applications" / "__init__.py"
        if listed.is_file():
            return re.findall(r"\b([A-Z]\w*) as \1\b", listed.read_text(encoding="utf-8"))
    return []


def check(application: str, known: Sequence[str]) -> None:
    """Check a name.

    Raises
    ------
    UserError
        There is no such application: with the nearest name.
    """
    if known and application not in known:
        raise UserError(
            f"application: keras.applications has no {application!r}{nearest(application, known)}"
        )


def _constructor(application: str, settings: dict[str, Any]) -> Callable[..., Any]:
    """The function that builds an application, its settings checked by name."""
    from keras import applications

    makers = {name: getattr(applications, name) for name in dir(applications) if name[0].isupper()}
    check(application, list(makers))
    maker: Callable[..., Any] = makers[application]
    allowed = [name for name in inspect.signature(maker).parameters if name not in OURS]
    for name in settings:
        if name in OURS:
            raise UserError(f"settings: {name!r} of {application} is Darkroom's own to set")
        if name not in allowed:
            raise UserError(
                f"settings: {application} has no {name!r}"
                + (nearest(name, allowed) if allowed else "; it has none")
            )
    return maker


def _module_of(constructor: Callable[..., Any]) -> Any:
    """The public module of an application, which has its `preprocess_input`."""
    from keras import applications

    return getattr(applications, constructor.__module__.rpartition(".")[2])


def _in_words(application: str, shape: Sequence[int], error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    small = re.search(r"must be at least (\d+) ?x ?(\d+)", reason)
    if small or "computed output size would be" in reason.lower() or "negative dimension" in reason:
        least = f"images of at least {small[1]}×{small[2]} pixels" if small else "larger images"
        return UserError(
            f"{application} needs {least}, but the view is {shape[0]}×{shape[1]}: "
            "set view.size of the feature set"
        )
    return UserError(
        f"{application} cannot be built for {'×'.join(map(str, shape))}: {reason[:300]}"
    )


class _Stop(Exception):
    """Ends the building of an application where it asks for its file."""


def official(application: str, settings: dict[str, Any], shape: Sequence[int]) -> Official:
    """Let an application say which file holds its ImageNet weights without the top.

    Parameters
    ----------
    application : a name in `keras.applications`.
    settings : of that function, such as `{"alpha": 0.25}`.
    shape : (height, width, 3) of the images: some have a file for each size.

    Raises
    ------
    UserError
        No such application or setting; none for these settings; images too small.
    """
    maker = _constructor(application, settings)
    found: list[Official] = []

    def answer(address: str, name: str, digest: str | None) -> str:
        found.append(Official(address, name, digest))
        raise _Stop

    try:
        with downloads_answered(answer):
            maker(include_top=False, weights="imagenet", input_shape=tuple(shape), **settings)
    except _Stop:
        return found[0]
    except (ValueError, TypeError) as error:
        raise _in_words(application, shape, error) from None
    raise UserError(f"{application} asks for no file of weights: give weights")


# ---------------------------------------------------------------- the network


def build(
    application: str,
    settings: dict[str, Any],
    *,
    pool: str,
    shape: Sequence[int],
    weights: str,
) -> Any:
    """A frozen backbone with its own preprocessing.

    Batch norm keeps its statistics and dropout drops nothing, in training too.

    Parameters
    ----------
    application : as for `official`.
    settings : as for `official`.
    pool : `average`, `max` or `none`, over the last map.
    shape : (height, width, 3) of an image.
    weights : the HDF5 file.

    Returns
    -------
    keras.Model from (B, H, W, 3) uint8 to (B, D) or, without a pool, (B, h, w, D) float32,
    the output of its last layer `embedding`. Layers: `image`, `preprocess`, the
    application (a model, its name Keras' own), `embedding`.

    Raises
    ------
    UserError
        No such application or setting, images that are grey or too small, other weights.
    """
    import keras

    from darkroom.train.layers import leaves  # with NumPy, which the Snakefile does without

    if len(shape) != 3 or shape[2] != 3:
        raise UserError(
            f"{application} reads colour images and gets {'×'.join(map(str, shape))}: "
            "set view.color: rgb"
        )
    base = load(application, settings, shape, weights)
    for layer in leaves(base):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    base.trainable = False
    image = keras.Input(tuple(shape), dtype="uint8", name="image")
    x = base(preprocessing(_module_of(_constructor(application, settings)), image))
    if pool == "none":
        x = keras.layers.Identity(name=EMBEDDING)(x)
    else:
        mean = pool == "average"
        kind = keras.layers.GlobalAveragePooling2D if mean else keras.layers.GlobalMaxPooling2D
        x = kind(name=EMBEDDING, dtype="float32")(x)
    return keras.Model(image, x, name="backbone")


def load(application: str, settings: dict[str, Any], shape: Sequence[int], weights: str) -> Any:
    """An application without its top, its weights read from a file.

    The official file makes the network that Keras makes of it. That is not always the one
    without weights and then these: EfficientNet's has one more layer.

    Raises
    ------
    UserError
        As `build`.
    """
    maker = _constructor(application, settings)
    common = {"include_top": False, "input_shape": tuple(shape), **settings}

    def answer(address: str, name: str, digest: str | None) -> str:
        if digest is not None and digest_of(weights, digest) != digest:
            raise _Stop
        return named

    with _as_keras_names_it(weights, application) as named, warnings.catch_warnings():
        # what the newer form of a file lacks Keras leaves at random, and only warns
        warnings.filterwarnings("error", message="Skipping")
        try:
            with downloads_answered(answer):
                return maker(weights="imagenet", **common)
        except (_Stop, *UNFIT):
            pass  # not the official file, or no file is official for these settings and sizes
        try:
            base = maker(weights=None, **common)
        except (ValueError, TypeError) as error:
            raise _in_words(application, shape, error) from None
        try:
            base.load_weights(named)
        except UNFIT as error:
            reason = " ".join(str(error).split())
            with_ = f" with {settings}" if settings else ""
            raise UserError(
                f"{weights} does not hold weights of {application}{with_} without the top "
                f"layers: {reason[:200]}"
            ) from None
    return base


def digest_of(path: str, like: str) -> str:
    """sha256 or md5 of a file, whichever a digest of that length is."""
    digest = hashlib.sha256() if len(like) == 64 else hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _as_keras_names_it(path: str, application: str) -> Iterator[str]:
    """The file under the suffix by which Keras knows its two forms of HDF5 apart."""
    import h5py

    try:
        with h5py.File(path) as file:  # as Keras opens it: HDF5 refuses two ways at once
            older = "layer_names" in file.attrs or "model_weights" in file
    except OSError as error:
        short = "truncated" in str(error)
        problem = "is cut short" if short else f"is no HDF5 file that can be read ({error})"
        raise UserError(f"{path}, the weights of {application}, {problem}") from None
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("file.h5" if older else "file.weights.h5")
        link.symlink_to(Path(path).absolute())
        yield str(link)


def work(
    application: str, settings: dict[str, Any], shape: Sequence[int]
) -> list[tuple[str, int, int, int]]:
    """What each layer takes of one image; no weight is made and nothing is computed.

    Parameters
    ----------
    As for `official`.

    Returns
    -------
    For each layer, in order: its name; multiplications of the forward pass; values that come
    out; weights.

    Raises
    ------
    UserError
        As `official`.
    """
    from darkroom.train.layers import leaves

    maker = _constructor(application, settings)
    try:
        with shapes_alone():
            base = maker(include_top=False, weights=None, input_shape=tuple(shape), **settings)
    except (ValueError, TypeError) as error:
        raise _in_words(application, shape, error) from None
    found = []
    for layer in base.layers:
        multiplications = values = weights = 0
        for leaf in leaves(layer) if hasattr(layer, "layers") else [layer]:
            *places, channels = leaf.output.shape[1:]
            sizes = [math.prod(weight.shape) for weight in leaf.weights]
            kernels = sum(math.prod(w.shape) for w in leaf.weights if len(w.shape) > 1)
            multiplications += kernels * math.prod(places)
            values += channels * math.prod(places)
            weights += sum(sizes)
        found.append((str(layer.name), multiplications, values, weights))
    return found


# ---------------------------------------------------------------- its own preprocessing


def affine(preprocess: Callable[[np.ndarray], Any]) -> tuple[np.ndarray, np.ndarray]:
    """What a preprocessing function does to a colour: `colour @ matrix + offset`.

    Parameters
    ----------
    preprocess : from (N, H, W, 3) float32 of 0..255 to the same shape.

    Returns
    -------
    (3, 3) matrix, row: of the input's channel; (3,) offset; float64.

    Raises
    ------
    UserError
        The function is not affine.
    """

    import numpy as np

    def of(colours: np.ndarray) -> np.ndarray:
        pixels = np.asarray(colours, np.float32)[None, None]
        found: np.ndarray = np.asarray(preprocess(pixels.copy()), np.float64)[0, 0]
        return found

    probed = of(np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]))
    offset, matrix = probed[0], (probed[1:] - probed[0]) / 255
    colours = np.random.default_rng(0).integers(0, 256, (50, 3))
    if not np.allclose(of(colours), colours @ matrix + offset, rtol=1e-4, atol=1e-3):
        raise UserError("preprocess_input of this application is more than a scale and an offset")
    return matrix, offset


def preprocessing(module: Any, image: Any) -> Any:
    """Stock layers that do what the application's `preprocess_input` does, in float32."""
    import numpy as np
    from keras import layers

    matrix, offset = affine(module.preprocess_input)
    diagonal = np.diag(matrix)
    if np.array_equal(matrix, np.diag(diagonal)):
        scale, shift = diagonal.tolist(), offset.tolist()
        return layers.Rescaling(scale, shift, name="preprocess", dtype="float32")(image)
    x = layers.Rescaling(1.0, name="pixels", dtype="float32")(image)  # a convolution takes floats
    mix = layers.Conv2D(3, 1, name="preprocess", dtype="float32", trainable=False)
    x = mix(x)
    mix.set_weights([matrix[None, None].astype(np.float32), offset.astype(np.float32)])
    return x
