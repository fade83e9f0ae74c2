"""Settings with some values replaced, each named by its path: `optimizer.learning_rate`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from darkroom import names
from darkroom.errors import UserError, nearest

Tree = TypeVar("Tree", bound=Mapping[str, Any])


def override(settings: Tree, values: dict[str, Any]) -> Tree:
    """A copy of settings with other values at some paths.

    Parameters
    ----------
    settings : nested mappings and lists, as JSON has them.
    values : new values by path: keys joined by dots, in a list a number from 0 or the
        `name` of an item, e.g. `layers.2.dropout.rate`, `layers.hidden.dense.units`.
        Below a key `settings`, which is free, a new key is made.

    Raises
    ------
    ValueError
        A path leads nowhere; the message names the nearest key.
    """
    changed = copy.deepcopy(settings)
    for path, value in values.items():
        here: Any = changed
        *way, last = path.split(".")
        for done, part in enumerate(way):
            here = here[_key(here, part, path)]
            if not isinstance(here, (dict, list)):
                raise ValueError(f"{path}: {'.'.join(way[: done + 1])} has no keys")
        free = bool(way) and way[-1] == "settings" and isinstance(here, dict)
        here[last if free else _key(here, last, path)] = copy.deepcopy(value)
    return changed


def value_at(settings: Mapping[str, Any], path: str) -> Any:
    """The value at a path, as `override` reads it.

    Raises
    ------
    ValueError
        There is none.
    """
    here: Any = settings
    for part in path.split("."):
        if not isinstance(here, (dict, list)):
            raise ValueError(f"{path}: nothing stands below {here!r}")
        here = here[_key(here, part, path)]
    return here


def chosen(settings: Tree, best: str | None) -> tuple[Tree, str]:
    """Settings with those that a search chose, and a sentence of what it chose.

    Parameters
    ----------
    settings : as they are written.
    best : `best.json` of the search; None: there was none.

    Returns
    -------
    The settings to use; the sentence, empty without a search.

    Raises
    ------
    UserError
        The file cannot be read, or its paths do not fit the settings.
    """
    if best is None:
        return settings, ""
    try:
        found = json.loads(Path(best).read_text(encoding="utf-8"))
        changed = override(settings, found["params"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{best} cannot be used ({error}): delete it and run again") from None
    sentence = (
        f"tuned: {in_words(found['params'])} (trial {found['trial']} of {found['trials']}, "
        f"{found['objective']} of the validation rows {found['value']:.4g})"
    )
    return changed, sentence


def in_words(params: dict[str, Any]) -> str:
    """Settings by path in one line: `batch 64, optimizer.learning_rate 0.0021`."""
    return ", ".join(f"{path} {plain(value)}" for path, value in params.items())


def cell(value: Any) -> str:
    """A value as it stands in a table: all its digits; a mapping, list, truth value or null as JSON."""
    if isinstance(value, str):
        return names.cell(value)
    scalar = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if scalar else json.dumps(value, ensure_ascii=False, sort_keys=True)


def plain(value: Any) -> str:
    """A value in few digits; a mapping or list as JSON."""
    if isinstance(value, float):
        return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _key(here: Any, part: str, path: str) -> Any:
    if isinstance(here, dict):
        if part in here:
            return part
        known = [str(key) for key in here]
        raise ValueError(f"{path}: no setting {part!r}{nearest(part, known)}")
    for number, item in enumerate(here):
        if part == str(number) or (isinstance(item, dict) and item.get("name") == part):
            return number
    raise ValueError(f"{path}: no item {part!r} in a list of {len(here)}")
