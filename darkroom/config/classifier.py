"""Settings of feature sets that no training makes, and of the classifiers on any feature set."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from darkroom.config.dataset import ModelView
from darkroom.config.forms import Free, Strict
from darkroom.config.tuning import TuneClassifier, check_space


class FeatureSet(Strict):
    """Features that no training makes: `pixels` of a small view, `hog`, or a pretrained `backbone`."""

    kind: Literal["pixels", "hog", "backbone"]
    view: ModelView = ModelView()
    application: str | None = Field(None, description="backbone: a name in keras.applications")
    settings: Free = Field({}, description="backbone: of the application, e.g. {alpha: 0.25}")
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
            if given := sorted(own & self.model_fields_set):
                raise ValueError(f"{given[0]} goes with kind: backbone, not {self.kind}")
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
    settings: Free = Field({}, description="of the scikit-learn estimator, e.g. {C: 10}")
    max_rows: PositiveInt | None = Field(
        None,
        description="train on a stratified sample of at most so many rows; the report says so",
    )
    memory_mb: PositiveInt = Field(
        2000,
        description="beyond this, training learns from a stratified sample of rows whose features fit, and the report says so",
    )
    seed: NonNegativeInt = 0
    refit: bool = Field(
        False,
        description="once the validation rows have served to choose, fit again to training and validation rows: for the test rows and new pictures",
    )
    tune: TuneClassifier | None = None

    @model_validator(mode="after")
    def _space(self) -> Self:
        check_space(self, self.tune)
        return self

    @field_validator("pca")
    @classmethod
    def _pca(cls, value: int | float | None) -> int | float | None:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError("a fraction must lie between 0 and 1")
        return value
