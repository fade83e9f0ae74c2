"""Settings of a search for settings, and what its space makes of the settings that it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from darkroom.config.forms import Strict, typed
from darkroom.overrides import override, value_at

if TYPE_CHECKING:
    from darkroom.config.classifier import Classifier
    from darkroom.config.model import Model


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
        """Both ends, and of fractions one between: a setting that takes whole numbers refuses it."""
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
                values = typed(values)
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


# No settings of a training: other stages read them, or they are not of one network.
NOT_TRIED = ("view", "backbone", "fine_tune", "seeds", "features")


def check_space(owner: BaseModel, tune: Tune | None) -> None:
    """Refuse a space with a value that could not have been written by hand."""
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
        return value_at(tunable(_with(owner, path, value)), path)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"tune.space: {path} with {value!r}: {why}") from None
    except ValueError as error:
        raise ValueError(f"tune.space: {error}") from None


Owner = TypeVar("Owner", bound=BaseModel)


Tuned = TypeVar("Tuned", bound="Model | Classifier")


def _with(owner: Owner, path: str, value: Any) -> Owner:
    return type(owner).model_validate(override(tunable(owner), {path: value}))


def drawn(owner: Tuned) -> list[Tuned]:
    """Settings, and the same with each single value that a search may draw."""
    tune = owner.tune
    return [owner, *(_with(owner, path, value) for path, value in (tune.samples() if tune else []))]


def tunable(owner: BaseModel) -> dict[str, Any]:
    """Settings as JSON values, in the form that the paths of a space name: a layer has one kind."""
    plain = owner.model_dump(mode="json", exclude={"tune", "compare"})
    for number, layer in enumerate(plain.get("layers", [])):
        plain["layers"][number] = {k: v for k, v in layer.items() if v is not None}
    return plain


def searched(owner: BaseModel, tune: Tune) -> dict[str, Any]:
    """The space of a search as a trial reads it: its listed values as a stage would read them."""
    return {
        path: [_tried(owner, path, value) for value in values]
        if isinstance(values, list)
        else values.model_dump(mode="json")
        for path, values in tune.space.items()
    }
