"""docs/settings.md: every setting with its values, its default and what it does, from the schema."""

from __future__ import annotations

import json
from typing import Any

HEAD = """# Settings

Made from the typed settings by `make generated`. [config.yaml](../config.yaml) has the defaults of what runs,
[settings.yaml](settings.yaml) examples to copy, and [examples/](../examples) whole files. A file of your own states only what differs: mappings are merged, lists are replaced.
"""


def page(schema: str) -> str:
    """The page.

    Parameters
    ----------
    schema : JSON schema of the configuration, as `darkroom.config.schema.schema` gives it.
    """
    found = json.loads(schema)
    parts = [HEAD, _section("The whole file", found)]
    parts += [_section(name, part) for name, part in sorted(found["$defs"].items())]
    return "\n".join(parts)


def _section(title: str, part: dict[str, Any]) -> str:
    """A class of settings: what it is, and a table."""
    part = next((one for one in part.get("anyOf", []) if "properties" in one), {}) | part
    rows = [
        f"| `{key}` | {_kind(value)} | {_default(value)} | {_cell(value.get('description', ''))} |"
        for key, value in part.get("properties", {}).items()
        if not key.startswith("$")
    ]
    about = " ".join(str(part.get("description", "")).split())
    if not rows:
        return f"## {title}\n\n{about}\n"
    table = "\n".join(["| setting | values | default | |", "|---|---|---|---|", *rows])
    return f"## {title}\n\n{about}\n\n{table}\n"


def _kind(value: dict[str, Any]) -> str:
    """What values a setting takes, in words; a class of settings by the section that has it."""
    for several in ("anyOf", "oneOf"):
        if several in value:
            return " or ".join(dict.fromkeys(_kind(one) for one in value[several]))
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    kind = value.get("type", "anything")
    if kind == "array" and "items" in value:
        return f"list of {_kind(value['items'])}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"by name: {_kind(value['additionalProperties'])}"
    limits = {
        "minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "exclusiveMaximum": "<",
    }  # fmt: skip
    words = [f"{sign} {value[key]}" for key, sign in limits.items() if key in value]
    return " ".join([" or ".join(kind) if isinstance(kind, list) else str(kind), *words])


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:
        return ""
    default = value["default"]
    if isinstance(default, dict) and default:
        return "that section's"
    return f"`{_cell(json.dumps(default, ensure_ascii=False))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
