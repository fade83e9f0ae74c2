"""The errors of a configuration in words: file and line, key, value, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from darkroom.errors import UserError, nearest
from darkroom.sources.addresses import shown

SHOWN = 30  # mistakes that are listed
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was compiled
Written = Callable[[list[Any]], list[Any]]


def in_words(
    error: ValidationError,
    model: type[BaseModel],
    files: list[str],
    written: Written,
    removed: Mapping[str, str],
) -> str:
    """One line for each error.

    Parameters
    ----------
    error : what pydantic raised.
    model : the class that was validated.
    files : the YAML files that the configuration was merged from, in order.
    written : gives the place in those files of a place in what was validated.
    removed : what to write in place of a removed setting, by its dotted path; `*` is any one
        part of the path.
    """
    errors = error.errors()
    known = {(e["loc"], e["msg"]) for e in errors}
    lines = []
    for e in errors:
        if len(e["loc"]) == 2:
            # An error of a whole model is an error of all that are made from it: one line.
            shared = tuple(written([*e["loc"], None])[:-1])
            if shared != e["loc"] and (shared, e["msg"]) in known:
                continue
        lines.append(_line_of(e, model, files, written, removed))
    lines = list(dict.fromkeys(lines))
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"and {len(lines) - SHOWN:,} more mistakes"]
    return "\n".join(lines)


def check_keys(files: Iterable[str]) -> None:
    """Refuse a key that a file has twice: YAML takes the last and forgets the others.

    Parameters
    ----------
    files : YAML files that could be read.

    Raises
    ------
    UserError
        File and line of both.
    """
    for file in files:
        todo, seen = [_composed(file)], set()
        while todo:
            node = todo.pop()
            if id(node) in seen:  # by an alias
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                todo += node.value
            if not isinstance(node, yaml.MappingNode):
                continue
            lines: dict[str, int] = {}
            for key, value in node.value:
                todo.append(value)
                if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                    continue
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise UserError(
                        f"{file}:{line}: {key.value!r} stands here for the second time, and first in "
                        f"line {lines[key.value]}: put both under one, for YAML forgets the first"
                    )
                lines[key.value] = line


def _composed(file: str) -> Any:
    """The nodes of a YAML file, which have their lines."""
    return _parsed(Path(file).read_text(encoding="utf-8"))


@lru_cache(maxsize=10)
def _parsed(text: str) -> Any:
    return yaml.compose(text, Loader=LOADER)


def _line_of(
    error: Any,
    model: type[BaseModel],
    files: list[str],
    written: Written,
    removed: Mapping[str, str],
) -> str:
    read = [p for p in error["loc"] if not _is_union_tag(p) and p != "[key]"]
    location = written(read)
    path = _dotted(location)
    kind, value = error["type"], error.get("input")
    message = error["msg"].removeprefix("Value error, ")
    if not location and (named := re.match(r"\w+(\.[^\s.:]+)+(?=: )", message)):
        location = written(read := named[0].split("."))
        if location != read:
            message = _dotted(location) + message[named.end() :]
    where = _locate(location, files, value)
    if kind == "extra_forbidden":
        for pattern, instead in removed.items():
            parts = pattern.split(".")
            if len(parts) == len(read) and all(map(fnmatchcase, map(str, read), parts)):
                return f"{where}{path}: {instead}"
        known = _fields_at(model, read[:-1])
        return f"{where}{path}: unknown key{nearest(str(location[-1]), known)}"
    if kind == "missing":
        return f"{where}{path}: a value is needed here"
    message = message[:1].lower() + message[1:]
    if value is None and kind in ("model_type", "dict_type", "list_type"):
        return f"{where}{path} is null: leave it out for its default"
    if kind == "value_error" and not isinstance(value, (str, int, float)):
        return f"{where}{path + ': ' if path else ''}{message}"
    if isinstance(value, str):
        value = shown(value)
    return f"{where}{path} is {value!r}: {message}"


def _is_union_tag(part: Any) -> bool:
    """Whether pydantic put this part into a path to name the member of a union."""
    return isinstance(part, str) and (
        part in ("int", "float", "str", "bool")
        or part.startswith(("constrained-", "literal[", "tuple[", "dict[", "list[", "function-"))
    )


def _dotted(location: list[Any]) -> str:
    out = ""
    for part in location:
        number = isinstance(part, int) and not isinstance(part, bool)
        out += f"[{part}]" if number else f"{'.' if out else ''}{part}"
    return out


def _fields_at(model: type[BaseModel], location: list[Any]) -> list[str]:
    """Keys that the settings know at a place."""
    here: Any = model
    for part in location:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = None if field is None else field.annotation
            options = [a for a in get_args(here) if isinstance(a, type)]
            if not isinstance(here, type) and getattr(here, "__origin__", None) is None:
                here = next((o for o in options if issubclass(o, BaseModel)), here)
        else:
            arguments = get_args(here)
            here = arguments[-1] if arguments else None
    if isinstance(here, type) and issubclass(here, BaseModel):
        return list(here.model_fields)
    return []


def _locate(location: list[Any], files: list[str], value: Any) -> str:
    """`file.yaml:12: ` of the last file that has the key, or nothing where --config has it."""
    for length in range(len(location), 0, -1):
        for file in reversed(files):
            try:
                node, line = _node(_composed(file), location[:length])
                own = yaml.load(node.value, LOADER) if isinstance(node, yaml.ScalarNode) else value
            except (OSError, ValueError, RecursionError, yaml.YAMLError):
                continue
            if line and length == len(location) and str(own) != str(value):
                return "--config: "  # the file has another value, which this one replaced
            if line:
                return f"{file}:{line}: "
    return ""


def _node(node: Any, location: list[Any]) -> tuple[Any, int]:
    """What stands at a place of a file, and its line; 0: nothing."""
    line = 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == str(part)]
            if not pairs:
                return None, 0
            key, node = pairs[-1]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                return None, 0
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return None, 0
    return node, line
