"""docs/settings.md lists what the schema has."""

from __future__ import annotations

import json
import re

from darkroom.config.schema import schema
from darkroom.workflow.settings_page import page


def test_every_setting_and_every_link_is_there() -> None:
    found = json.loads(schema())
    text = page(json.dumps(found))
    sections = dict(re.findall(r"^## (.*)\n((?:.*\n)*?)(?=## |\Z)", text, flags=re.M))
    for name, part in {"The whole file": found, **found["$defs"]}.items():
        for key in part.get("properties", {}):
            assert f"| `{key}` |" in sections[name], f"{name}.{key}"
    linked = set(re.findall(r"\(#([a-z]+)\)", text))
    assert linked <= {title.lower() for title in sections}


def test_values_defaults_and_meaning() -> None:
    text = page(schema())
    assert "| `epochs` | integer > 0 | `20` |  |" in text
    assert '| `resize` | `squash`, `pad`, `crop` | `"squash"` |' in text
    assert (
        '| `recipe` | `auto`, `transfer`, `scratch`, `both` | `"auto"` | what `data` runs:' in text
    )
