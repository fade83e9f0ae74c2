"""How Snakemake calls a function of a rule: by its parameters, with wildcards, and with errors in its own words."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from snakemake.exceptions import WorkflowError

from darkroom.errors import UserError
from darkroom.machine import disk

Wildcards = Any
"""snakemake.iocontainers.Wildcards: values by attribute, by key and by `get`."""
Called = TypeVar("Called", bound=Callable[..., Any])


def called(function: Called) -> Called:
    """A function, or a class with all its methods, with its parameters noted.

    Snakemake asks for them at each call, of which thousands of jobs make many.
    """
    of_class = vars(function).values() if isinstance(function, type) else [function]
    for one in of_class:
        if inspect.isfunction(one):
            one.__signature__ = inspect.signature(one)  # type: ignore[attr-defined]
    return function


def in_words(function: Called) -> Called:
    """A function whose `UserError`, and a full disk, Snakemake shows as a sentence."""

    @functools.wraps(function)
    def shown(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except UserError as error:
            raise WorkflowError(str(error)) from None
        except OSError as error:
            sentence = disk.in_words(error, [str(Path.cwd()), str(Path.cwd() / ".snakemake")])
            if sentence is None:
                raise
            raise WorkflowError(sentence) from None

    return shown  # type: ignore[return-value]


def one_of(names: Iterable[str]) -> str:
    """A wildcard that takes only these names; none where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"
