"""Typed settings: everything that `config.yaml` and its overlays may say.

`Settings.load` checks the merged configuration before anything runs. `stage_*` cut
out exactly what one stage reads, as plain JSON values: that is what a rule tracks,
so a setting reruns the stages that read it and no other.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from functools import cached_property, partial
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from darkroom.config import compare as comparisons
from darkroom.config.messages import in_words
from darkroom.errors import UserError, nearest
from darkroom.overrides import override, value_at
from darkroom.sources.addresses import addresses

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
RESERVED = {
    "augmented",
    "best",
    "features",
    "head",
    "holdout",
    "images",
    "predictions",
    "report",
    "tuning",
    "weights",
}
PARTS = ("train", "validation", "test")
Part = Literal["train", "validation", "test"]
BACKBONE_VIEW: dict[str, Any] = {"size": 224, "color": "rgb"}  # unless its `view` says other
Fraction = Field(ge=0, lt=1)

# Settings of earlier versions: what to write in their place. `*` is any name.
REMOVED = {
    "classifiers.*.accelerate": "this setting was removed; leave it out: scikit-learn alone fits",
    "classifiers.*.search": "this setting was removed; write tune: {space: {settings.C: [1, 10, 100]}}, which compares settings by the validation rows",
}


def one_group(pattern: str | None) -> str | None:
    """Check that a regular expression compiles and has a group to read."""
    if pattern is not None:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if groups < 1:
            raise ValueError("the expression needs a group in parentheses")
    return pattern


class Strict(BaseModel):
    """Settings that refuse a key which they do not have, and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


# ---------------------------------------------------------------- data sets


class View(Strict):
    """How an image becomes an array of one size: what `images/{view}.h5` holds."""

    size: PositiveInt | tuple[PositiveInt, PositiveInt] = Field(
        64, description="side in pixels, or [height, width]"
    )
    color: Literal["rgb", "gray"] = "rgb"
    resize: Literal["squash", "pad", "crop"] = Field(
        "squash",
        description="squash ignores the aspect ratio, pad adds black borders, crop keeps the centre",
    )
    filter: Literal["auto", "area", "linear"] = Field(
        "auto",
        description="auto: area when shrinking, linear when growing; area and linear always use that one",
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one prepared image."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, 3 if self.color == "rgb" else 1

    @property
    def name(self) -> str:
        """File name of the view, e.g. `64x64-rgb-squash`: equal settings, equal name."""
        height, width, _ = self.shape
        name = f"{height}x{width}-{self.color}-{self.resize}"
        return name if self.filter == "auto" else f"{name}-{self.filter}"


class ModelView(Strict):
    """What a model asks for instead of its data set's view; unset keys keep that one's."""

    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    color: Literal["rgb", "gray"] | None = None
    resize: Literal["squash", "pad", "crop"] | None = None
    filter: Literal["auto", "area", "linear"] | None = None


class Limits(Strict):
    """What an archive may unpack to."""

    max_gb: PositiveFloat = Field(200, description="unpacked size in GB (10^9 bytes)")
    max_files: PositiveInt = 20_000_000


class Layout(Strict):
    """Where path, label, given split and group are read from."""

    kind: Literal["auto", "folders", "table", "pattern"] = Field(
        "auto",
        description="folders: class folders, below split folders or not; table: a CSV; pattern: regular expressions",
    )
    root: str | None = Field(
        None, description="folder of the source to look in (Data, say); auto finds it"
    )
    ignore: list[str] = Field(
        [], description="glob patterns of paths to leave out, e.g. '*/masks/*'"
    )
    table: str | None = Field(None, description="the CSV, relative to the root")
    path_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    label: str | None = Field(
        None, description="regular expression on the path; its group 1 is the label"
    )
    split: str | None = Field(
        None,
        description="regular expression on the path; its group 1 is the given split",
    )

    @field_validator("label", "split")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        return one_group(value)


class Decode(Strict):
    """How unusual images are read; `refuse` makes such a file unusable, with its reason."""

    orientation: Literal["apply", "ignore"] = Field("apply", description="the EXIF orientation")
    sixteen_bit: Literal["scale", "stretch", "refuse"] = Field(
        "scale",
        description="scale divides by 257; stretch maps each image's own range to 0..255",
    )
    palette: Literal["convert", "refuse"] = "convert"
    alpha: Literal["white", "black", "drop", "refuse"] = Field(
        "white", description="what a transparent image is laid on"
    )
    cmyk: Literal["convert", "refuse"] = "convert"
    gray: Literal["convert", "refuse"] = Field(
        "convert", description="a grey image where the view is rgb"
    )
    animated: Literal["first", "refuse"] = Field("first", description="take the first frame")
    wrong_suffix: Literal["accept", "refuse"] = Field(
        "accept", description="a PNG named .jpg, say: read by its content, and listed"
    )


class Split(Strict):
    """Which row is for training, which for validation, which for the test."""

    given: Literal["use", "ignore"] | dict[Part, Part] = Field(
        "use",
        description="the source's own train/validation/test; {validation: test} takes one for another",
    )
    validation: float = Field(
        0.15, ge=0, lt=1, description="fraction of the rows that are not test"
    )
    test: float = Field(
        0.2, ge=0, lt=1, description="fraction of all rows, where no test set is given"
    )
    folds: int | None = Field(
        None, ge=2, description="k-fold cross-validation in place of one holdout"
    )
    stratify: bool = True
    seed: NonNegativeInt = 0
    quotas: dict[str, dict[Part, NonNegativeInt | Literal["rest"]]] = Field(
        {},
        description="images per class and part, e.g. {COVID: {train: 300, test: rest}}",
    )

    @field_validator("quotas")
    @classmethod
    def _one_rest(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, parts in value.items():
            if list(parts.values()).count("rest") > 1:
                raise ValueError(f"class {name}: only one part may be 'rest'")
        return value


class PowerLaw(Strict):
    """s = scale · 255 · (r/255)^gamma, saturating."""

    gamma: PositiveFloat = 0.4
    scale: PositiveFloat = 1.0


class Mean(Strict):
    """Mean filter over `size` × `size` pixels."""

    size: PositiveInt = 3


class HighBoost(Strict):
    """image + amount · (image − blurred), saturating."""

    amount: PositiveFloat = 3.0
    size: PositiveInt = 3


class Canny(Strict):
    """image + its Canny edges, saturating."""

    low: NonNegativeInt = 50
    high: PositiveInt = 225


class Flip(Strict):
    """The mirror image."""

    direction: Literal["horizontal", "vertical"] = "horizontal"


class Rotate(Strict):
    """Rotation by a random angle, to either side."""

    degrees: float = Field(15, gt=0, le=180)
    copies: PositiveInt = 1


class Zoom(Strict):
    """Zoom by a random factor, in or out."""

    fraction: float = Field(0.15, gt=0, lt=1)
    copies: PositiveInt = 1


class Shift(Strict):
    """Shift by a random fraction of each side."""

    fraction: float = Field(0.1, gt=0, lt=1)
    copies: PositiveInt = 1


class Shear(Strict):
    """Shear by a random factor, to either side."""

    fraction: float = Field(0.2, gt=0, lt=1)
    copies: PositiveInt = 1


class OneOf(Strict):
    """A single-key mapping (`conv: {filters: 32}`), its short form (`conv: 32`) or bare name."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {value: {}}
        if not isinstance(value, dict):
            return value
        out = {}
        for key, inner in value.items():
            field = cls.model_fields.get(key)
            if field is None or key == "name":
                out[key] = inner
                continue
            spec = next(a for a in get_args(field.annotation) if isinstance(a, type))
            if inner is None or inner is True:
                inner = {}
            elif issubclass(spec, BaseModel) and not isinstance(inner, (dict, BaseModel)):
                names = list(spec.model_fields)
                inner = (
                    dict(zip(names, inner, strict=False))
                    if isinstance(inner, (list, tuple))
                    else {names[0]: inner}
                )
            out[key] = inner
        return out

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        kinds = [k for k in type(self).model_fields if k != "name"]
        if len(found := [k for k in kinds if getattr(self, k) is not None]) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(kinds)}"
                + (f", not {' and '.join(found)}" if found else "")
            )
        return self

    @cached_property
    def kind(self) -> str:
        """The key that is given."""
        return next(
            k for k in type(self).model_fields if k != "name" and getattr(self, k) is not None
        )

    @property
    def spec(self) -> Any:
        """The settings of that kind."""
        return getattr(self, self.kind)


class Variant(OneOf):
    """One stored variant of each image (or several random `copies`)."""

    power_law: PowerLaw | None = None
    mean: Mean | None = None
    high_boost: HighBoost | None = None
    canny: Canny | None = None
    flip: Flip | None = None
    rotate: Rotate | None = None
    zoom: Zoom | None = None
    shift: Shift | None = None
    shear: Shear | None = None


class Augment(Strict):
    """Stored variants of training images, and the balance of classes in training."""

    variants: list[Variant] = []
    classes: list[str] | None = Field(None, description="classes to make variants of; unset: all")
    balance: PositiveInt | Literal["largest"] | None = Field(
        None,
        description="training images wanted of each class: originals first, then variants",
    )
    seed: NonNegativeInt = 0


SHA256 = r"^[0-9a-fA-F]{64}$"
Digest = Annotated[str, Field(json_schema_extra={"pattern": SHA256})]


class Dataset(Strict):
    """A data set: its source, and how files become labelled pixels in three parts."""

    source: str = Field(
        description="bundled:digits, a folder, an archive, https://…, https://…/{a,b}.gz for several files, kaggle:owner/name[@version], kaggle-competition:name"
    )
    sha256: Digest | list[Digest] | None = Field(
        None, description="of the archive; a list where the source names several files"
    )
    license: str | None = Field(
        None, description="told in the report, in place of what the source says"
    )
    limits: Limits = Limits()
    layout: Layout = Layout()
    classes: dict[str, list[str]] | None = Field(
        None,
        description="[b, a] chooses and orders; {new: old, both: [x, y]} renames and merges too",
    )
    group: str | None = Field(
        None,
        description="regular expression on the path; rows with an equal group 1 (a patient) stay on one side",
    )
    decode: Decode = Decode()
    shards: int = Field(
        1,
        ge=1,
        le=500,  # each is an open file of whoever reads them
        description="parts that are indexed and prepared apart, each a job: for a cluster",
    )
    max_unusable: float = Field(
        0.02, ge=0, le=1, description="fraction of the files that may be unusable"
    )
    view: View = View()
    split: Split = Split()
    augment: Augment = Augment()
    threshold: float | Literal["accuracy", "balanced_accuracy", "f1"] = Field(
        0.5,
        description="two classes: probability of the second from which it is predicted, or what it should maximise on the validation rows",
    )
    models: list[str] | None = Field(None, description="unset: run.models")
    features: list[str] | None = Field(None, description="unset: run.features")
    classifiers: list[str] | None = Field(None, description="unset: run.classifiers")

    @field_validator("classes", mode="before")
    @classmethod
    def _classes(cls, value: Any) -> Any:
        if isinstance(value, list):
            return {str(v): [str(v)] for v in value}
        if isinstance(value, dict):
            return {
                str(k): [str(x) for x in v] if isinstance(v, list) else [str(v)]
                for k, v in value.items()
            }
        return value

    @field_validator("classes")
    @classmethod
    def _used_once(cls, value: dict[str, list[str]] | None) -> Any:
        seen: dict[str, str] = {}
        for new, olds in (value or {}).items():
            for old in olds:
                if old in seen:
                    raise ValueError(f"{old!r} is in both {seen[old]!r} and {new!r}")
                seen[old] = new
        if value is not None and len(value) < 2:
            raise ValueError("at least two classes are needed")
        return value

    @model_validator(mode="before")
    @classmethod
    def _hash_beside_its_address(cls, value: Any) -> Any:
        """`https://…/x.tgz#sha256=…`: so that another source leaves the hash behind with the old one."""
        if not isinstance(value, dict) or not isinstance(value.get("source"), str):
            return value
        source, mark, digest = value["source"].partition("#sha256=")
        if not mark:
            return value
        if value.get("sha256") is not None:
            raise ValueError("sha256 is given twice: in source and by itself")
        digests = digest.split(",")
        return value | {"source": source, "sha256": digests if len(digests) > 1 else digest}

    @field_validator("sha256")
    @classmethod
    def _hexadecimal(cls, value: str | list[str] | None) -> str | list[str] | None:
        for digest in value if isinstance(value, list) else [value]:
            if digest is not None and not re.fullmatch(SHA256, digest):
                shown = f"{digest!r}: " if isinstance(value, list) else ""
                raise ValueError(f"{shown}a sha256 has 64 hexadecimal digits, not {len(digest)}")
        return value

    @model_validator(mode="after")
    def _a_hash_for_each_file(self) -> Self:
        if self.sha256 is None:
            return self
        try:
            files = len(addresses(self.source))
        except UserError:  # told before the download, with every other mistake in a source
            return self
        hashes = len(self.sha256) if isinstance(self.sha256, list) else 1
        if hashes != files:
            raise ValueError(
                f"sha256 has {hashes} of them, and the source names {files} files: give a list of"
                " one for each file, in the same order"
            )
        return self

    @field_validator("group")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        return one_group(value)

    @field_validator("threshold")
    @classmethod
    def _a_probability(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError("a probability must lie between 0 and 1")
        return value


# ---------------------------------------------------------------- tuning


class Range(Strict):
    """Numbers to draw from; whole ones where both ends are whole."""

    low: int | float
    high: int | float
    log: bool = False
    step: PositiveInt | PositiveFloat | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, not {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self

    def samples(self) -> list[int | float]:
        """Both ends; of fractions one between, that a setting of whole numbers refuses."""
        if all(isinstance(v, int) for v in (self.low, self.high, self.step or 1)):
            return [self.low, self.high]
        between = self.low + (self.step or 0.381966 * (self.high - self.low))
        return [self.low, between, self.high]


class Tune(Strict):
    """A search for settings by the validation rows of each fold (Optuna's TPE)."""

    space: dict[str, Range | list[Any]] = Field(
        min_length=1,
        description="by path, e.g. optimizer.learning_rate: {low: 1e-4, high: 1e-2, log: true}, layers.2.dropout.rate: [0.2, 0.5]",
    )
    trials: PositiveInt = 20
    parallel: PositiveInt = Field(
        1, description="trials side by side; with 1 the same seed gives the same best"
    )
    seed: NonNegativeInt = 0

    @field_validator("space")
    @classmethod
    def _several(cls, value: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for path, values in value.items():
            if isinstance(values, list):
                values = [_as_number(v) for v in values]
                if len(values) < 2:
                    raise ValueError(f"{path}: give at least two values, or low and high")
                if len({repr(v) for v in values}) < len(values):
                    raise ValueError(f"{path}: a value is given twice")
            found[path] = values
        return found

    def samples(self) -> list[tuple[str, Any]]:
        """Each path with each value that is listed, or with the ends of its range and one between."""
        pairs: list[tuple[str, Any]] = []
        for path, values in self.space.items():
            pairs += [(path, v) for v in (values if isinstance(values, list) else values.samples())]
        return pairs


def _as_number(value: Any) -> Any:
    """YAML 1.1 takes 1e-3 for text; in a space it is a number."""
    text = isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value)
    return float(value) if text else value


class TuneModel(Tune):
    """A search for settings of a network."""

    prune: bool = Field(True, description="stop unpromising trials early")
    epochs: PositiveInt | None = Field(
        None, description="of a trial; unset: as many as the model's"
    )
    objective: Literal["loss", "accuracy"] | None = Field(
        None, description="of the validation rows; unset: the model's `monitor`"
    )


class TuneClassifier(Tune):
    """A search for settings of a classifier."""

    objective: Literal["accuracy", "balanced_accuracy", "log_loss", "f1_macro"] = Field(
        "accuracy", description="of the validation rows"
    )


# What is no setting of a training: other stages read it, or it is not one network's.
NOT_TRIED = ("view", "backbone", "fine_tune", "seeds", "features")


def _check_space(owner: BaseModel, tune: Tune | None) -> None:
    """Every value of a space must make settings that could have been written by hand."""
    if tune is None:
        return
    for path in tune.space:
        if path.split(".")[0] in NOT_TRIED:
            raise ValueError(f"tune.space: {path}: a trial cannot change this")
        if path == "epochs" and isinstance(tune, TuneModel) and tune.epochs is not None:
            raise ValueError("tune.epochs: the space has epochs already")
    for path, value in tune.samples():
        _tried(owner, path, value)


def _tried(owner: BaseModel, path: str, value: Any) -> Any:
    """The value at a path of settings as a stage reads it, when it is set to `value`."""
    try:
        return value_at(_tunable(_with(owner, path, value)), path)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"tune.space: {path} with {value!r}: {said}") from None
    except ValueError as error:
        raise ValueError(f"tune.space: {error}") from None


Owner = TypeVar("Owner", bound=BaseModel)
Tuned = TypeVar("Tuned", bound="Model | Classifier")


def _with(owner: Owner, path: str, value: Any) -> Owner:
    return type(owner).model_validate(override(_tunable(owner), {path: value}))


def drawn(owner: Tuned) -> list[Tuned]:
    """Settings, and the same with each value by itself that a search may draw in their place."""
    tune = owner.tune
    return [owner, *(_with(owner, path, value) for path, value in (tune.samples() if tune else []))]


def _tunable(owner: BaseModel) -> dict[str, Any]:
    """Settings as the paths of a space lead into them: a layer has its own kind alone."""
    plain = owner.model_dump(mode="json", exclude={"tune", "compare"})
    for number, layer in enumerate(plain.get("layers", [])):
        plain["layers"][number] = {k: v for k, v in layer.items() if v is not None}
    return plain


def _searched(owner: BaseModel, tune: Tune) -> dict[str, Any]:
    """A search as a trial reads it: not how many trials there are, nor how many at once."""
    spec = _json(tune)
    for key in ("trials", "parallel"):
        del spec[key]
    spec["space"] = {
        path: [_tried(owner, path, v) for v in values] if isinstance(values, list) else values
        for path, values in spec["space"].items()
    }
    return spec


# ---------------------------------------------------------------- networks


class Conv(Strict):
    """A 2-D convolution."""

    filters: PositiveInt
    size: PositiveInt = 3
    stride: PositiveInt = 1
    padding: Literal["same", "valid"] = "same"
    activation: str | None = "relu"
    bias: bool = True
    init: Literal["glorot", "he", "identity"] = Field(
        "glorot", description="first weights; identity: as many filters as can pass a channel on"
    )


class Pool(Strict):
    """Pooling over windows of `size` × `size`."""

    size: PositiveInt = 2
    stride: PositiveInt | None = None
    kind: Literal["max", "average"] = "max"


class BatchNorm(Strict):
    """Batch normalization."""

    momentum: float = Field(0.9, gt=0, lt=1)
    scale: bool = Field(True, description="learn a factor a channel, not the offset alone")
    epsilon: PositiveFloat = 0.001


class Dropout(Strict):
    """Dropout of a fraction of the inputs, in training alone."""

    rate: float = Fraction


class GlobalPool(Strict):
    """Pooling of each channel to one number."""

    kind: Literal["average", "max"] = "average"


class Flatten(Strict):
    """Maps to one vector."""


class Dense(Strict):
    """A fully connected layer."""

    units: PositiveInt
    activation: str | None = "relu"


class Activation(Strict):
    """An activation function of Keras by itself."""

    function: str = "relu"


class Whiten(Strict):
    """A frozen convolution that makes patches of the training images uncorrelated."""

    size: PositiveInt = 2
    activation: str | None = "relu"


class Scale(Strict):
    """Multiplication by a number; before the head it tempers the probabilities."""

    factor: PositiveFloat


class Residual(Strict):
    """Two 3×3 convolutions with batch norm and a shortcut (He et al. 2016, arXiv:1512.03385)."""

    filters: PositiveInt
    stride: PositiveInt = 1
    activation: str = "relu"


class Layer(OneOf):
    """One layer of a network, of exactly one kind."""

    conv: Conv | None = None
    pool: Pool | None = None
    batch_norm: BatchNorm | None = None
    dropout: Dropout | None = None
    global_pool: GlobalPool | None = None
    flatten: Flatten | None = None
    dense: Dense | None = None
    activation: Activation | None = None
    residual: Residual | None = None
    whiten: Whiten | None = None
    scale: Scale | None = None
    name: str | None = Field(None, pattern=NAME, description="to be named by `features`")


class Optimizer(Strict):
    """The optimizer and its settings."""

    name: Literal["sgd", "momentum", "adam", "adamw", "rmsprop"] = "adam"
    learning_rate: PositiveFloat = 0.001
    momentum: float = Field(0.9, ge=0, lt=1, description="of momentum and rmsprop")
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: PositiveFloat | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Schedule(Strict):
    """How the learning rate changes over a training."""

    name: Literal["constant", "cosine", "one_cycle"] = "constant"
    warmup: float = Field(
        0.0, ge=0, lt=1, description="fraction of all steps that the rate rises in"
    )
    final: float = Field(0.0, ge=0, le=1, description="last rate as a fraction of learning_rate")


class Online(Strict):
    """Random changes of each training image, anew each epoch."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    flip_probability: float = Field(0.5, gt=0, le=1, description="of each direction of `flip`")
    rotation: float = Field(0, ge=0, le=180, description="degrees, to either side")
    zoom: float = Field(0, ge=0, lt=1, description="fraction, in and out")
    shear: float = Field(0, ge=0, lt=1, description="fraction, to either side")
    shift: float = Field(0, ge=0, lt=1, description="fraction of each side")
    contrast: float = Field(0, ge=0, lt=1, description="fraction, up and down")
    brightness: float = Field(0, ge=0, lt=1, description="fraction of 255, up and down")
    crop: NonNegativeInt = Field(
        0, description="pixels of reflected border, then a random crop of the same size"
    )
    cutout: float = Field(
        0, ge=0, lt=1, description="side of the square, as a fraction of the image's"
    )
    mixup: NonNegativeFloat = Field(
        0, description="alpha of the Beta distribution (arXiv:1710.09412)"
    )

    @property
    def changes(self) -> bool:
        """Whether there is any change."""
        return self.model_copy(update={"flip_probability": 0.5}) != Online()


class FineTune(Strict):
    """After its head, the last blocks of a backbone train on too, at a lower rate."""

    blocks: PositiveInt | None = Field(None, description="last blocks of the backbone to train")
    start: str | None = Field(None, description="or the layer of the backbone to train from")
    epochs: PositiveInt = 5
    learning_rate: PositiveFloat = Field(1e-5, description="the highest of its one cosine")
    augment: Online | None = Field(
        None,
        description="random changes in it alone, so that the head still learns from cached features; unset: the model's",
    )

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.blocks is None) == (self.start is None):
            raise ValueError("give either blocks or start")
        return self


class Model(Strict):
    """A network: layers, or a head on a backbone, and how they are trained."""

    view: ModelView = ModelView()
    backbone: str | None = Field(
        None,
        description="a feature set of kind backbone: `layers` are a head on it, and the exported network holds both",
    )
    fine_tune: FineTune | None = None
    normalise: Literal["standard", "unit", "symmetric", "none"] = Field(
        "standard",
        description="standard: training rows' mean and deviation by channel; unit: 0..1; symmetric: -1..1",
    )
    layers: list[Layer] = []
    head: Literal["auto", "softmax", "sigmoid"] = Field(
        "auto", description="auto: one sigmoid unit for two classes, else softmax"
    )
    precision: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32",
        description="of the computation, weights stay float32; auto: what the hardware multiplies fastest, bfloat16 before float16",
    )
    compile: Literal["auto", "always", "never"] = Field(
        "auto",
        description="TensorFlow: always compiles by XLA, which can do neither max pools nor several GPUs; auto and never: not. JAX always compiles, PyTorch never",
    )
    steps_per_call: Literal["auto"] | PositiveInt = Field(
        "auto",
        description="training steps of one call; auto: 16 on a GPU, 1 on a processor. PyTorch takes one",
    )
    on_device: Literal["auto", "always", "never"] = Field(
        "auto",
        description="training rows that `memory_mb` holds lie on the device; auto: on a GPU. Not where `augment` changes them, nor with several GPUs, nor with PyTorch",
    )
    test_time: Literal["none", "mirror"] = Field(
        "none",
        description="mirror: the exported network averages its last hidden layer over an image and its mirror image",
    )
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    epochs: PositiveInt = 20
    batch: PositiveInt = 64
    label_smoothing: float = Field(0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | dict[str, PositiveFloat] = "none"
    early_stopping: PositiveInt | None = Field(
        None, description="epochs without improvement of `monitor` before stopping"
    )
    monitor: Literal["loss", "accuracy"] = Field("loss", description="of the validation rows")
    keep: Literal["best", "last"] = Field(
        "best", description="epoch whose weights are kept, by `monitor`"
    )
    augment: Online = Online()
    features: str | None = Field(None, description="name of the layer; unset: the last hidden one")
    seeds: list[NonNegativeInt] = Field([0], min_length=1)
    memory_mb: PositiveInt = Field(2000, description="pixels beyond this stream from the file")
    tune: TuneModel | None = None
    compare: dict[str, dict[str, Any]] = Field(
        {},
        description="models that differ from this one, by name: {adam: {optimizer: adam}, …}; `run` then takes {this}-{name}",
    )

    @property
    def as_embedded(self) -> bool:
        """Whether its features are those of its backbone: that is frozen, and no layer changes them."""
        changing = [layer for layer in self.layers if layer.kind != "dropout"]
        return self.backbone is not None and self.fine_tune is None and not changing

    @model_validator(mode="after")
    def _head_on_a_backbone(self) -> Self:
        if self.backbone is None:
            if self.fine_tune is not None:
                raise ValueError("fine_tune needs `backbone`, what is to be tuned")
            if not self.layers:
                raise ValueError("layers: a network needs at least one")
        elif self.view != ModelView():
            raise ValueError(f"view: it is that of the feature set {self.backbone!r}; set it there")
        elif self.normalise != "standard":
            raise ValueError("normalise: a backbone brings its own; leave it out")
        return self

    @model_validator(mode="after")
    def _space(self) -> Self:
        _check_space(self, self.tune)
        return self

    @model_validator(mode="after")
    def _feature_layer(self) -> Self:
        names = [layer.name for layer in self.layers if layer.name]
        if len(set(names)) < len(names):
            raise ValueError("two layers have the same name")
        if self.features is not None and self.features not in names:
            raise ValueError(
                f"features: no layer is named {self.features!r}; named layers: {names or 'none'}"
            )
        if self.test_time != "none" and (self.features or self.backbone):
            raise ValueError(
                "test_time: mirror goes neither with `backbone` nor with `features`: "
                "the features are then the mean of the last hidden layer"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: a seed is given twice")
        return self


# ---------------------------------------------------------------- features, classifiers


class FeatureSet(Strict):
    """Features that no training makes: `pixels` of a small view, `hog`, or a pretrained `backbone`."""

    kind: Literal["pixels", "hog", "backbone"]
    view: ModelView = ModelView()
    application: str | None = Field(None, description="backbone: a name in keras.applications")
    settings: dict[str, Any] = Field(
        {}, description="backbone: of the application, e.g. {alpha: 0.25}"
    )
    weights: str = Field(
        "imagenet",
        description="backbone: imagenet (the official file), another https://… or a local file, without the top layers",
    )
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$", description="of the weights")
    pool: Literal["average", "max", "none"] = Field(
        "average", description="backbone: over the last map; none keeps the map"
    )
    batch: PositiveInt = Field(32, description="backbone: images at a time")

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        own = {"application", "settings", "weights", "sha256", "pool", "batch"}
        if self.kind != "backbone":
            if said := sorted(own & self.model_fields_set):
                raise ValueError(f"{said[0]} goes with kind: backbone, not {self.kind}")
        elif self.application is None:
            raise ValueError("application: a name in keras.applications is needed, such as VGG16")
        elif self.view.color == "gray":
            raise ValueError("view.color: a backbone reads rgb")
        return self


class Classifier(Strict):
    """A scikit-learn classifier, on any feature set."""

    kind: Literal["svm", "linear_svm", "random_forest", "logistic_regression", "knn"]
    scale: bool | None = Field(
        None, description="standardise features; unset: for all but the forest"
    )
    pca: PositiveInt | float | None = Field(
        None, description="components kept: a count, or a fraction of the variance"
    )
    settings: dict[str, Any] = Field({}, description="of the scikit-learn estimator, e.g. {C: 10}")
    max_rows: PositiveInt | None = Field(
        None,
        description="train on a stratified sample of at most so many rows; the report says so",
    )
    memory_mb: PositiveInt = Field(
        2000,
        description="beyond this, training learns from a stratified sample of rows whose features fit, and the report says so",
    )
    seed: NonNegativeInt = 0
    tune: TuneClassifier | None = None

    @model_validator(mode="after")
    def _space(self) -> Self:
        _check_space(self, self.tune)
        return self

    @field_validator("pca")
    @classmethod
    def _pca(cls, value: int | float | None) -> int | float | None:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError("a fraction must lie between 0 and 1")
        return value


# ---------------------------------------------------------------- the whole


class Run(Strict):
    """What a run makes, by the names of the other sections."""

    datasets: list[str] = Field(min_length=1)
    models: list[str] = []
    features: list[str] = []
    classifiers: list[str] = []


class Evaluate(Strict):
    """The evaluation."""

    bootstrap: NonNegativeInt = Field(1000, description="resamples for each 95 % interval; 0: none")
    seed: NonNegativeInt = 0


class Predict(Strict):
    """New pictures: a folder of them, and by which classifier."""

    source: str = Field(description="a folder of pictures, or one picture")
    model: str | None = Field(
        None,
        description="cnn-seed0, or a classifier on features: cnn-seed0/svm; unset: the best by validation",
    )
    fold: str | None = Field(None, description="of cross-validation; unset: the best by validation")

    @model_validator(mode="before")
    @classmethod
    def _by_folder(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("model")
    @classmethod
    def _network_by_itself(cls, value: str | None) -> str | None:
        return value if value is None else value.removesuffix("/head")


class Report(Strict):
    """The report."""

    samples: PositiveInt = Field(6, description="sample images of each class")
    mistakes: NonNegativeInt = Field(24, description="most confident mistakes shown")


class Settings(Strict):
    """The whole configuration, checked; docs/design.md says what each stage reads of it."""

    data: str | None = Field(
        None,
        description="a source to run by itself, with every default: --config data=FOLDER",
    )
    mirror: str | None = Field(None, description="folder looked into before the network")
    gpus: Literal["auto"] | NonNegativeInt = Field(
        "auto", description="cards a training job takes; auto: 1 where a card is found"
    )
    jobs_per_gpu: PositiveInt = Field(
        1, le=16, description="jobs that share a card, each with an equal part of its memory"
    )
    gpu_memory: float | None = Field(
        None,
        gt=0,
        le=1,
        description="part of a card's memory that a job may take; null: what it needs, or its equal part",
    )
    threads: PositiveInt = Field(8, description="most threads of one job")
    backend: Literal["tensorflow", "jax", "torch"] = Field(
        "tensorflow",
        description="what Keras computes with; jax and torch: pip install -r envs/backends.in",
    )
    container: str | None = Field(
        None,
        description="with --sdm apptainer, the image that each stage runs in: a .sif file, docker://…; envs/Containerfile builds one",
    )
    run: Run
    datasets: dict[str, Dataset]
    models: dict[str, Model] = {}
    features: dict[str, FeatureSet] = {}
    classifiers: dict[str, Classifier] = {}
    predict: dict[str, Predict] = Field(
        {},
        description="{NAME: folder}: results/{dataset}/predictions/NAME.csv is then a target",
    )
    evaluate: Evaluate = Evaluate()
    report: Report = Report()
    _views: dict[tuple[str, str], View] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _compared(cls, value: Any) -> Any:
        return comparisons.expanded(value) if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not value.get("data"):
            return value
        source = str(value["data"])
        name = source_name(source)
        datasets = dict(value.get("datasets") or {})
        datasets[name] = {**(datasets.get(name) or {}), "source": source}
        run = {**(value.get("run") or {}), "datasets": [name]}
        return {**value, "datasets": datasets, "run": run}

    @model_validator(mode="after")
    def _names(self) -> Self:
        catalogues: dict[str, dict[str, Any]] = {
            "datasets": self.datasets,
            "models": self.models,
            "features": self.features,
            "classifiers": self.classifiers,
        }
        for kind, catalogue in {**catalogues, "predict": self.predict}.items():
            for name in catalogue:
                if not re.match(NAME, name) or name.lower() in RESERVED:
                    raise ValueError(
                        f"{kind}.{name}: a name has letters, digits, '_', '.', '+' and '-', and is none of {', '.join(sorted(RESERVED))}"
                    )
                if kind in ("models", "features") and re.search(r"-seed\d+$", name):
                    raise ValueError(f"{kind}.{name}: a name must not end in -seed and a number")
        users: dict[str, Any] = {"run": self.run}
        users |= {f"datasets.{n}": d for n, d in self.datasets.items()}
        for where, user in users.items():
            for kind in catalogues:
                if where != "run" and kind == "datasets":
                    continue
                for name in getattr(user, kind) or []:
                    if name not in catalogues[kind]:
                        raise ValueError(
                            f"{where}.{kind}: {name!r} is not in {kind}"
                            + nearest(name, catalogues[kind])
                        )
        both = sorted(set(self.models) & set(self.features))
        if both:
            raise ValueError(f"features.{both[0]}: a model has this name; choose another")
        backbones = [n for n, f in self.features.items() if f.kind == "backbone"]
        for name, model in self.models.items():
            if model.backbone is not None and model.backbone not in backbones:
                raise ValueError(
                    f"models.{name}.backbone: {model.backbone!r} is no feature set of kind backbone"
                    + nearest(model.backbone, backbones)
                )
        for name, dataset in self.datasets.items():
            known = dataset.classes
            if known is None:
                continue
            for where, names in (
                ("split.quotas", list(dataset.split.quotas)),
                ("augment.classes", dataset.augment.classes or []),
            ):
                for used in names:
                    if used not in known:
                        raise ValueError(
                            f"datasets.{name}.{where}: {used!r} is not in classes"
                            + nearest(used, known)
                        )
        return self

    @classmethod
    def load(cls, config: dict[str, Any], files: list[str] | None = None) -> Settings:
        """Check a merged configuration.

        Parameters
        ----------
        config : the merged mapping, as Snakemake hands it over.
        files : the YAML files it was merged from, in order, to name file and line.

        Raises
        ------
        UserError
            One line per mistake: file and line, key, value, what is allowed.
        """
        try:
            return cls.model_validate(config)
        except ValidationError as error:
            written = partial(comparisons.written_at, config)
            raise UserError(in_words(error, cls, files or [], written, REMOVED)) from None

    # -- what a data set consists of

    def models_of(self, dataset: str) -> list[str]:
        """Models of a data set; one that only compares others stands for those."""
        asked = _or(self.datasets[dataset].models, self.run.models)
        found = [n for name in asked for n in self.comparisons.get(name, [name])]
        return list(dict.fromkeys(found))

    @cached_property
    def sharded(self) -> list[str]:
        """Data sets that are indexed and prepared in several jobs."""
        return [name for name, dataset in self.datasets.items() if dataset.shards > 1]

    @cached_property
    def comparisons(self) -> dict[str, list[str]]:
        """Names of the compared models, by the name that stands for them all."""
        return {
            name: [f"{name}-{other}" for other in model.compare]
            for name, model in self.models.items()
            if model.compare
        }

    @cached_property
    def backbones(self) -> list[str]:
        """Names of the feature sets that a pretrained backbone makes."""
        return [name for name, f in self.features.items() if f.kind == "backbone"]

    def backbones_of(self, dataset: str) -> list[str]:
        """Names of the backbones that a data set's models and feature sets need."""
        users = self.models_of(dataset) + self.features_of(dataset)
        return list(dict.fromkeys(filter(None, map(self.backbone_of, users))))

    def backbone_of(self, user: str) -> str | None:
        """The backbone that a model stands on, or that a feature set is."""
        name = self.models[user].backbone if user in self.models else user
        return name if name in self.backbones else None

    def features_of(self, dataset: str) -> list[str]:
        """Names of the feature sets that no network makes."""
        return _or(self.datasets[dataset].features, self.run.features)

    def classifiers_of(self, dataset: str) -> list[str]:
        """Names of the classifiers that are fitted to the data set's feature sets."""
        return _or(self.datasets[dataset].classifiers, self.run.classifiers)

    def runs_of(self, dataset: str) -> list[str]:
        """Trained networks of a data set: `{model}-seed{seed}`."""
        return [f"{m}-seed{s}" for m in self.models_of(dataset) for s in self.models[m].seeds]

    def folds_of(self, dataset: str) -> list[str]:
        """Names of the folds: `fold-1` …, or `holdout` alone."""
        k = self.datasets[dataset].split.folds
        return [f"fold-{i}" for i in range(1, k + 1)] if k else ["holdout"]

    def fits_of(self, dataset: str) -> list[tuple[str, str]]:
        """Each (feature set, classifier) that is fitted, each different feature set once.

        A network whose features are those of its frozen backbone leaves them to the backbone's
        own feature set, also where `features` does not name that.
        """
        sets = [
            model.backbone if model.backbone and model.as_embedded else f"{name}-seed{seed}"
            for name, model in ((name, self.models[name]) for name in self.models_of(dataset))
            for seed in model.seeds
        ]
        different = dict.fromkeys(sets + self.features_of(dataset))
        return [(f, c) for f in different for c in self.classifiers_of(dataset)]

    def predictors_of(self, dataset: str) -> dict[str, tuple[str, str]]:
        """Each (feature set, classifier) of a data set by its name: `cnn-seed0`, `cnn-seed0/svm`."""
        heads = {run: (run, "head") for run in self.runs_of(dataset)}
        return heads | {"/".join(fit): fit for fit in self.fits_of(dataset)}

    def view_of(self, dataset: str, user: str) -> View:
        """The view that a model or feature set of this data set reads."""
        known = self._views.get((dataset, user))
        if known is None:
            known = self._views[dataset, user] = self._view(dataset, user)
        return known

    def _view(self, dataset: str, user: str) -> View:
        backbone = self.backbone_of(user)
        if backbone is not None:
            user = backbone
        asked = (self.models.get(user) or self.features[user]).view
        base = self.datasets[dataset].view.model_dump()
        if backbone is not None:  # what it was trained on, whatever the data set's view is
            base |= BACKBONE_VIEW
        return View(**{**base, **asked.model_dump(exclude_none=True)})

    def views_of(self, dataset: str) -> dict[str, View]:
        """Views by name that models and feature sets read; the report shows the first.

        That is the data set's own where any of them reads it, or where there is none of them.
        """
        own = self.datasets[dataset].view
        users = self.models_of(dataset) + self.features_of(dataset)
        used = {view.name: view for view in (self.view_of(dataset, user) for user in users)}
        return {own.name: own} | used if own.name in used or not used else used

    # -- what one stage reads: the whole of it, and nothing else

    def stage(self, name: str, wildcards: dict[str, str]) -> dict[str, Any]:
        """Exactly the settings that a stage reads, as JSON values.

        Parameters
        ----------
        name : of one of the `stage_*` methods below.
        wildcards : of the rule's output; more than the stage needs do no harm.

        Raises
        ------
        UserError
            A wildcard, so a target on the command line, names nothing in the configuration.
        """
        for wildcard in ("dataset", "model", "view"):
            asked = wildcards.get(wildcard)
            if asked is None:
                continue
            catalogue: Collection[str] = (
                self.views_of(wildcards["dataset"])
                if wildcard == "view"
                else getattr(self, f"{wildcard}s")
            )
            if asked not in catalogue:
                raise UserError(
                    f"{asked!r} is not in {wildcard}s of the configuration"
                    + nearest(asked, catalogue)
                )
        method = getattr(self, f"stage_{name}")
        wanted = list(inspect.signature(method).parameters)
        given: dict[str, Any] = {k: wildcards[k] for k in wanted}
        if "seed" in given:
            given["seed"] = int(given["seed"])
        settings: dict[str, Any] = method(**given)
        return settings

    def stage_download_source(self, dataset: str) -> dict[str, Any]:
        d = self.datasets[dataset]
        root = {"root": d.layout.root} if d.layout.root else {}
        return {"dataset": dataset} | _pick(d, "source", "sha256", "limits") | root

    def stage_index_files(self, dataset: str) -> dict[str, Any]:
        d = self.datasets[dataset]
        return {"dataset": dataset} | _pick(d, "layout", "group", "decode")

    def stage_list_files(self, dataset: str) -> dict[str, Any]:
        return self.stage_index_files(dataset)

    def stage_index_shard(self, dataset: str, shard: str) -> dict[str, Any]:
        return _pick(self.datasets[dataset], "decode") | self._shard(dataset, shard)

    def stage_join_index(self, dataset: str) -> dict[str, Any]:
        return {"dataset": dataset}

    def _shard(self, dataset: str, shard: str) -> dict[str, Any]:
        return {"shard": int(shard), "shards": self.datasets[dataset].shards}

    def stage_check_files(self, dataset: str) -> dict[str, Any]:
        return {"dataset": dataset}

    def stage_download_weights(self, features: str) -> dict[str, Any]:
        keys = ("application", "settings", "weights", "sha256")
        f = self.features[features]
        view = View(**BACKBONE_VIEW | f.view.model_dump(exclude_none=True))
        return {"features": features, "shape": list(view.shape)} | _pick(f, *keys)

    def stage_split_rows(self, dataset: str) -> dict[str, Any]:
        return {"dataset": dataset} | _pick(self.datasets[dataset], "classes", "split")

    def stage_prepare_images(self, dataset: str, view: str) -> dict[str, Any]:
        return {
            "dataset": dataset,
            "view": _json(self.views_of(dataset)[view]),
        } | _pick(self.datasets[dataset], "decode")

    def stage_prepare_shard(self, dataset: str, view: str, shard: str) -> dict[str, Any]:
        return self.stage_prepare_images(dataset, view) | self._shard(dataset, shard)

    def stage_join_images(self, dataset: str, view: str) -> dict[str, Any]:
        return {"dataset": dataset, "view": view}

    def stage_augment_images(self, dataset: str) -> dict[str, Any]:
        d = self.datasets[dataset]
        labels = d.augment.classes
        if labels is not None and d.classes is not None:
            labels = sorted(old for name in labels for old in d.classes[name])
        return {
            "dataset": dataset,
            "variants": [_json(v, exclude_none=True) for v in d.augment.variants],
            "labels": labels,
            "seed": d.augment.seed,
            "given": d.split.given,
        }

    def balance(self, dataset: str) -> dict[str, Any]:
        a = self.datasets[dataset].augment
        return {"balance": a.balance, "balance_seed": a.seed}

    def _training(self, model: str) -> dict[str, Any]:
        """The settings of a model that concern its training."""
        m = self.models[model]
        settings = _tunable(m)
        for key in ("view", "seeds", "features", "backbone"):
            del settings[key]
        if m.backbone is not None:
            del settings["normalise"]
        return settings

    def stage_train_model(self, dataset: str, fold: str, model: str, seed: int) -> dict[str, Any]:
        return {
            "dataset": dataset,
            "fold": fold,
            "model": self._training(model),
            "backbone": self._backbone(model),
            "seed": seed,
            "backend": self.backend,
        } | self.balance(dataset)

    def _backbone(self, user: str) -> dict[str, Any] | None:
        """Of a model on a backbone or of the backbone itself: what it computes; else None."""
        name = self.backbone_of(user)
        if name is None:
            return None
        return {"name": name} | _pick(self.features[name], "application", "settings", "pool")

    def stage_extract_features(self, dataset: str, fold: str, model: str) -> dict[str, Any]:
        m = self.models[model]
        return {
            "dataset": dataset,
            "fold": fold,
            "layer": m.features,
            "batch": m.batch,
            "backend": self.backend,
        } | self.balance(dataset)

    def stage_try_model(self, dataset: str, fold: str, model: str) -> dict[str, Any]:
        m = self.models[model]
        assert m.tune is not None
        tune = _searched(m, m.tune)
        tune["objective"] = tune["objective"] or m.monitor
        train = self.stage_train_model(dataset, fold, model, m.seeds[0])
        return train | {"name": model, "tune": tune}

    def stage_try_classifier(
        self, dataset: str, fold: str, features: str, classifier: str
    ) -> dict[str, Any]:
        c = self.classifiers[classifier]
        assert c.tune is not None
        fit = self.stage_fit_classifier(dataset, fold, features, classifier)
        return fit | {"tune": _searched(c, c.tune)}

    def stage_choose_setting(self, dataset: str, fold: str, model: str) -> dict[str, Any]:
        return {"dataset": dataset, "fold": fold, "model": model}

    def stage_choose_classifier_setting(
        self, dataset: str, fold: str, features: str, classifier: str
    ) -> dict[str, Any]:
        return {"dataset": dataset, "fold": fold, "features": features, "classifier": classifier}

    def stage_describe_images(self, features: str) -> dict[str, Any]:
        return {"name": features, "kind": self.features[features].kind}

    def stage_embed_images(self, features: str) -> dict[str, Any]:
        backbone = self._backbone(features)
        assert backbone is not None
        return backbone | _pick(self.features[features], "batch") | {"backend": self.backend}

    def stage_fit_classifier(
        self, dataset: str, fold: str, features: str, classifier: str
    ) -> dict[str, Any]:
        return {
            "dataset": dataset,
            "fold": fold,
            "features": features,
            "name": classifier,
            "classifier": self.classifiers[classifier].model_dump(mode="json", exclude={"tune"}),
        } | self.balance(dataset)

    def stage_evaluate_dataset(self, dataset: str) -> dict[str, Any]:
        return {"dataset": dataset, "evaluate": _json(self.evaluate)} | _pick(
            self.datasets[dataset], "threshold"
        )

    def stage_predict_images(self, dataset: str, name: str) -> dict[str, Any]:
        p = self.predict[name]
        own = {} if p.model is None else _pick(self.datasets[dataset], "threshold")
        about = {"dataset": dataset, "name": name, "backend": self.backend}
        return about | _json(p) | own

    def stage_write_report(self, dataset: str) -> dict[str, Any]:
        pick = {
            "models": self.models_of(dataset),
            "features": list(dict.fromkeys(self.features_of(dataset) + self.backbones_of(dataset))),
            "classifiers": self.classifiers_of(dataset),
        }
        used = {
            kind: {name: _plain(getattr(self, kind)[name]) for name in names}
            for kind, names in pick.items()
        }
        compared = {}
        for name, members in self.comparisons.items():
            own = [member for member in members if member in used["models"]]
            if len(own) > 1:
                whole = {
                    m: self._training(m)
                    | {"backbone": self.models[m].backbone, "view": _plain(self.models[m].view)}
                    for m in own
                }
                compared[name] = comparisons.differences(whole)
        return {
            "dataset": dataset,
            "report": _json(self.report),
            "settings": {"dataset": _plain(self.datasets[dataset])} | used,
            "compared": compared,
        }


def _or(own: list[str] | None, default: list[str]) -> list[str]:
    return default if own is None else own


def _json(value: BaseModel, *, exclude_none: bool = False) -> dict[str, Any]:
    return value.model_dump(mode="json", exclude_none=exclude_none)


def _plain(value: BaseModel) -> dict[str, Any]:
    """Only what differs from the defaults: what a person would write."""
    return value.model_dump(mode="json", exclude_defaults=True)


def _pick(value: BaseModel, *keys: str) -> dict[str, Any]:
    return value.model_dump(mode="json", include=set(keys))


def source_name(source: str) -> str:
    """A data set's name from its source: `/a/My photos.zip` gives `My_photos`."""
    stem = source.split("?")[0].rstrip("/").split("/")[-1].split(":")[-1].split("@")[0]
    stem = re.sub(r"(\.(zip|tar|tgz|tbz2?|txz|gz|bz2|xz|zst))+$", "", stem, flags=re.I)
    stem = re.sub(r"[^A-Za-z0-9_.+-]+", "_", stem).strip("_.-+")
    return stem if stem and stem.lower() not in RESERVED else f"data_{stem}".rstrip("_")
