"""The JSON schema of the configuration, by which editors complete and check it."""

from __future__ import annotations

import json

from darkroom.config.settings import Settings


def schema() -> str:
    """JSON schema of the configuration. What a class accepts besides its fields stands in the class."""
    document = Settings.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Darkroom configuration"
    compared = document["$defs"]["Model"]["properties"]["compare"]  # parts of the model itself
    compared["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/Model"}, {"type": "null"}]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
