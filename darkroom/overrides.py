"""Settings with some values replaced, each named by its path: `optimizer.learning_rate`."""

from __future__ import annotations

import copy
from typing import Any

from darkroom.errors import nearest


def override(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
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
        A path that leads nowhere: with the keys that there are.
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
