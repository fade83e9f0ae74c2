"""Settings of a data set: where it comes from, how it is read, split and augmented."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from darkroom.config.forms import Label, Name, OneOf, Strict, composed, name, one_group
from darkroom.errors import UserError
from darkroom.sources.addresses import addresses

Part = Literal["train", "validation", "test"]


BACKBONE_VIEW: dict[str, Any] = {"size": 224, "color": "rgb"}  # unless its `view` says otherwise


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
    """What a model reads instead of its data set's view; unset keys are those of that view."""

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
    class_level: Literal["auto", "outer", "inner"] = Field(
        "auto",
        description="which of two levels of folders are the classes, where both could be: the outer or the inner",
    )
    root: Name | None = Field(
        None, description="folder of the source to look in (Data, say); auto finds it"
    )
    ignore: list[str] = Field(
        [], description="glob patterns of paths to leave out, e.g. '*/masks/*'"
    )
    table: Name | list[Name] | None = Field(
        None, description="the CSV, relative to the root; or a list of CSVs that are read together"
    )
    path_column: Name | None = None
    label_column: Name | list[Name] | None = Field(
        None, description="a column of labels; or a list of columns of 0 and 1, one a label"
    )
    split_column: Name | None = None
    group_column: Name | None = None
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
        description="scale maps 0 to the largest value that the bits used in the whole data set can hold (65,535, or 4,095 for 12-bit data) to 0..255; stretch maps each image's own range",
    )
    palette: Literal["convert", "refuse"] = "convert"
    alpha: Literal["white", "black", "drop", "refuse"] = Field(
        "white", description="background of a transparent image"
    )
    cmyk: Literal["convert", "refuse"] = "convert"
    gray: Literal["convert", "refuse"] = Field(
        "convert", description="a gray image where the view is rgb"
    )
    animated: Literal["first", "refuse"] = Field("first", description="first takes the first frame")
    wrong_suffix: Literal["accept", "refuse"] = Field(
        "accept",
        description="a PNG that is named .jpg, say: accept reads it by its content and lists it",
    )


class Split(Strict):
    """Which row is for training, which for validation, which for the test."""

    given: Literal["use", "ignore"] | dict[Part, Part] = Field(
        "use",
        description="the source's own train/validation/test; {validation: test} uses its validation images as test images",
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
    quotas: dict[Label, dict[Part, NonNegativeInt | Literal["rest"]]] = Field(
        {},
        description="images per class and part, e.g. {COVID: {train: 300, test: rest}}",
    )

    @field_validator("quotas")
    @classmethod
    def _one_rest(cls, value: dict[str, Any]) -> dict[str, Any]:
        for label, parts in value.items():
            if list(parts.values()).count("rest") > 1:
                raise ValueError(f"class {label}: only one part may be 'rest'")
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
    classes: list[Label] | None = Field(None, description="classes to make variants of; unset: all")
    balance: PositiveInt | Literal["largest"] | None = Field(
        None,
        description="training images wanted of each class: originals first, then variants",
    )
    seed: NonNegativeInt = 0


class OperatingPoint(OneOf):
    """What a threshold of two classes must reach on a run's validation rows."""

    sensitivity: float | None = Field(
        None, gt=0, le=1, description="share found of the second class: most specificity beside it"
    )
    specificity: float | None = Field(
        None, gt=0, le=1, description="share found of the first class: most sensitivity beside it"
    )


SHA256 = r"^[0-9a-fA-F]{64}$"


Digest = Annotated[str, Field(json_schema_extra={"pattern": SHA256})]


_NAME: JsonValue = {"type": ["string", "number"]}
_NAMES: JsonValue = {"type": "array", "items": _NAME}
# The forms of `classes` in the JSON schema.
CLASSES: JsonValue = [
    _NAMES,
    {"type": "object", "additionalProperties": {"anyOf": [_NAME, _NAMES]}},
    {"type": "null"},
]


class Dataset(Strict):
    """A data set: its source, and how files become labelled pixels in three parts."""

    source: str = Field(
        description="bundled:digits, a folder, an archive, https://…, https://…/{a,b}.gz for several files, kaggle:owner/name[@version], kaggle-competition:name"
    )
    sha256: Digest | list[Digest] | None = Field(
        None, description="of the archive; a list where the source names several files"
    )
    license: str | None = Field(
        None, description="shown in the report in place of the source's own"
    )
    notice: str = Field(
        "",
        description="a sentence above every prediction of the web application, such as: Not for medical use.",
    )
    limits: Limits = Limits()
    layout: Layout = Layout()
    classes: dict[str, list[str]] | None = Field(
        None,
        description="[b, a] chooses and orders; {new: old, both: [x, y]} renames and merges too",
        json_schema_extra={"anyOf": CLASSES},
    )
    group: str | None = Field(
        None,
        description="regular expression on the path; rows with an equal group 1 (a patient) stay in one part; auto takes the groups that file names suggest",
    )
    decode: Decode = Decode()
    duplicates: Literal["group", "drop", "warn", "fail"] = Field(
        "group",
        description="images that show the same picture (equal, resized, mirrored, cropped …): group keeps each set in one part, drop uses one of each set, warn splits them like others, fail stops the run",
    )
    shards: int = Field(
        1,
        ge=1,
        le=500,  # each is an open file of a stage that reads them
        description="parts that are indexed and prepared as jobs of their own, for a cluster",
    )
    max_unusable: float = Field(
        0.02, ge=0, le=1, description="fraction of the files that may be unusable"
    )
    view: View = View()
    split: Split = Split()
    augment: Augment = Augment()
    threshold: float | Literal["accuracy", "balanced_accuracy", "f1"] = Field(
        0.5,
        description="two classes: the second is predicted from this probability on; or the score of the validation rows that the threshold maximises",
    )
    operating_point: OperatingPoint | None = Field(
        None,
        description="two classes: a second threshold is reported, which reaches this on the validation rows, e.g. {sensitivity: 0.95}",
    )
    robustness: bool = Field(
        False,
        description="true measures the best model on test images with noise, blur, less contrast, JPEG, rotation and occlusion too",
    )
    models: list[Name] | None = Field(None, description="unset: run.models")
    features: list[Name] | None = Field(None, description="unset: run.features")
    classifiers: list[Name] | None = Field(None, description="unset: run.classifiers")

    @field_validator("classes", mode="before")
    @classmethod
    def _classes(cls, value: Any) -> Any:
        if isinstance(value, list):
            value = {name(v): [v] for v in value}
        if isinstance(value, dict):
            return {
                composed(name(k)): [composed(name(x)) for x in (v if isinstance(v, list) else [v])]
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
        """Read `https://…/x.tgz#sha256=…`: a hash in the source goes when the source is replaced."""
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
        except UserError:  # the check of the sources says so
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
        return value if value == "auto" else one_group(value)

    @field_validator("threshold")
    @classmethod
    def _a_probability(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError("a probability must lie between 0 and 1")
        return value
