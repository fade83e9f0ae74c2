"""Settings files: what YAML gives, or a sentence with file and line.

Snakemake reads them before any code of this package, and ends with a traceback or without the
line. So `python -m darkroom run` reads them first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from darkroom.config.messages import LOADER, check_keys
from darkroom.errors import UserError

DEEPEST = 50  # levels: ten times what the settings have, a fraction of what Python can follow


def load(file: str | Path) -> dict[str, Any]:
    """The settings of a YAML file, each key once.

    Raises
    ------
    UserError
        It is missing, no text in UTF-8, no YAML, nested without end, or no mapping of settings.
    """
    text = _text(Path(file))
    try:
        _check_depth(str(file), text)
        found = yaml.load(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise UserError(_not_yaml(str(file), text, error)) from None
    if not isinstance(found, dict):
        what = "is empty" if found is None else f"is a {type(found).__name__} at its top"
        raise UserError(f"{file}:1: a settings file has keys and values (run: …), and this {what}")
    check_keys([str(file)])
    return found


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{file}:{line}: the byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8 in "
            "your editor"
        ) from None


def _check_depth(file: str, text: str) -> None:
    """Refuse what a program that follows the levels would not survive."""
    anchors: list[str | None] = []
    for event in yaml.parse(text, Loader=LOADER):
        where = f"{file}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.AliasEvent) and event.anchor in anchors:
            raise UserError(f"{where}: *{event.anchor} refers to what it stands in: leave it out")
        if isinstance(event, yaml.CollectionStartEvent):
            anchors.append(event.anchor)
            if len(anchors) > DEEPEST:
                raise UserError(
                    f"{where}: settings lie {DEEPEST} levels deep and more: a bracket or a key may be "
                    "left open"
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            anchors.pop()


def _not_yaml(file: str, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or error).strip()
    if mark is None:
        return f"{file}: not YAML: {' '.join(problem.split())}"
    lines = text.splitlines()
    for number in (mark.line, mark.line - 1):  # libyaml may name the line after
        line = lines[number] if 0 <= number < len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return f"{file}:{number + 1}: the line begins with a tab: indent it with blanks"
    return f"{file}:{max(1, min(mark.line + 1, len(lines)))}: not YAML: {problem}"
