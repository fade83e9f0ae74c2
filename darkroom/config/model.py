"""Settings of a network: its layers, and how it is trained."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from darkroom.config.dataset import ModelView
from darkroom.config.forms import NAME, Label, OneOf, Strict
from darkroom.config.tuning import TuneModel, check_space

Fraction = Field(ge=0, lt=1)


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
    scale: bool = Field(True, description="learn a scale of each channel, not only an offset")
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
    name: str | None = Field(None, pattern=NAME, description="a name that `features` may take")


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


def _optimizers_in_the_schema(definition: dict[str, Any]) -> None:
    """Let the JSON schema take the name of an optimizer, and a list of them to compare."""
    names = {"type": "string", "enum": sorted(get_args(Optimizer.model_fields["name"].annotation))}
    one = [{"$ref": definition.pop("$ref")}, names]
    definition["anyOf"] = [*one, {"type": "array", "minItems": 1, "items": {"anyOf": one}}]


class Schedule(Strict):
    """How the learning rate changes over a training."""

    name: Literal["constant", "cosine", "one_cycle"] = "constant"
    warmup: float = Field(
        0.0, ge=0, lt=1, description="fraction of all steps in which the rate rises"
    )
    final: float = Field(0.0, ge=0, le=1, description="last rate as a fraction of learning_rate")


class Augmentation(Strict):
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
        return self.model_copy(update={"flip_probability": 0.5}) != Augmentation()


class FineTune(Strict):
    """After its head, the last blocks of a backbone train on too, at a lower rate."""

    blocks: PositiveInt | None = Field(None, description="last blocks of the backbone to train")
    start: str | None = Field(None, description="or the layer of the backbone to train from")
    epochs: PositiveInt = 5
    learning_rate: PositiveFloat = Field(1e-5, description="the highest of its one cosine")
    augment: Augmentation | None = Field(
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
    optimizer: Optimizer = Field(Optimizer(), json_schema_extra=_optimizers_in_the_schema)
    schedule: Schedule = Schedule()
    epochs: PositiveInt = 20
    batch: PositiveInt = 64
    label_smoothing: float = Field(0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | dict[Label, PositiveFloat] = "none"
    early_stopping: PositiveInt | None = Field(
        None, description="epochs without improvement of `monitor` before stopping"
    )
    monitor: Literal["loss", "accuracy"] = Field("loss", description="of the validation rows")
    keep: Literal["best", "last"] = Field(
        "best", description="epoch whose weights are kept, by `monitor`"
    )
    augment: Augmentation = Augmentation()
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
        """Whether its features are those of its backbone: frozen, with no layers but dropout."""
        changing = [layer for layer in self.layers if layer.kind != "dropout"]
        return self.backbone is not None and self.fine_tune is None and not changing

    @model_validator(mode="after")
    def _head_on_a_backbone(self) -> Self:
        if self.backbone is None:
            if self.fine_tune is not None:
                raise ValueError("fine_tune needs a `backbone` to tune")
            if not self.layers:
                raise ValueError("layers: a network needs at least one")
        elif self.view != ModelView():
            raise ValueError(f"view: it is that of the feature set {self.backbone!r}; set it there")
        elif self.normalise != "standard":
            raise ValueError("normalise: a backbone brings its own; leave it out")
        return self

    @model_validator(mode="after")
    def _space(self) -> Self:
        check_space(self, self.tune)
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
