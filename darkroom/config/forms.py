"""What settings are made of: strict classes, and one of several kinds with its short form."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from typing import Annotated, Any, Self, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


def name(value: Any) -> Any:
    """A name as it was written, as far as YAML leaves it: numbers become text.

    Raises
    ------
    ValueError
        The value is none that a name is written as.
    """
    if isinstance(value, (str, list, dict)):
        return value  # checked as text by its type
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(
        f"a name that YAML reads as {value!r}: put it in quotes, as in 'no', 'yes', 'null', '2024-01-31'"
    )


def composed(label: str) -> str:
    """The Unicode form (NFC) in which labels are compared."""
    return unicodedata.normalize("NFC", label)


Name = Annotated[str, BeforeValidator(name, json_schema_input_type=str | float)]
"""Text that may look like a number."""

Label = Annotated[Name, AfterValidator(composed)]
"""Name of a class."""


def typed(value: Any) -> Any:
    """A value of no stated type as YAML reads it: of a mapping in --config, Snakemake gives text alone.

    1e-3 is a number too, which YAML 1.1 reads as text.
    """
    if isinstance(value, dict):
        return {key: typed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [typed(one) for one in value]
    if not isinstance(value, str) or not value:
        return value
    if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return found if found is None or isinstance(found, (bool, int, float)) else value


Free = Annotated[dict[str, Any], BeforeValidator(typed)]
"""Settings of a function that is not ours."""


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
    """Settings that refuse unknown keys and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _in_the_schema(definition: dict[str, Any]) -> None:
    """Add the short forms to the JSON schema of one of several kinds."""
    kinds = [kind for kind in definition["properties"] if kind != "name"]
    for kind in kinds:
        definition["properties"][kind]["anyOf"].append({"type": ["number", "string", "array"]})
    full = {k: definition.pop(k) for k in ("type", "properties", "additionalProperties")}
    definition["anyOf"] = [full, {"type": "string", "enum": kinds}]


class OneOf(Strict):
    """A single-key mapping (`conv: {filters: 32}`), its short form (`conv: 32`) or bare name."""

    model_config = ConfigDict(json_schema_extra=_in_the_schema)

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
