"""The API as an OpenAPI document."""

from __future__ import annotations

from typing import Any

from darkroom import __version__
from darkroom.serve.options import Options, size

PICTURES = {
    "type": "array",
    "items": {"type": "string", "contentMediaType": "application/octet-stream"},
    "minItems": 1,
}


def document(options: Options) -> dict[str, Any]:
    """OpenAPI 3.1 of `/api/v1`, with the limits of this server."""
    limits = (
        f"A picture may have {size(options.picture_bytes)} and {options.pixels:,} pixels, a request "
        f"{options.pictures} pictures and {size(options.request_bytes)}; {options.rate} pictures "
        "a minute from one address."
    )
    model = {
        "name": "model",
        "in": "query",
        "description": "Name of the model; unset: the first.",
        "schema": {"type": "string"},
    }
    secured: dict[str, Any] = {"security": [{"token": []}]} if options.token else {}
    refused = {
        "400": "The request cannot be read, or brings no picture.",
        "401": "The token is missing or wrong.",
        "404": "There is no such model.",
        "405": "The address takes another method.",
        "413": "The request is too large.",
        "415": "The body is of a kind that is not read.",
        "429": "Too many pictures a minute.",
        "503": "The models are being opened.",
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Darkroom", "version": __version__, "description": limits},
        "paths": {
            "/api/v1/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Classes and probabilities of pictures",
                    "parameters": [model],
                    "requestBody": {
                        "required": True,
                        "content": {
                            "multipart/form-data": {
                                "schema": {
                                    "type": "object",
                                    "properties": {"pictures": PICTURES},
                                    "required": ["pictures"],
                                },
                                "encoding": {"pictures": {"contentType": "image/*"}},
                            },
                            "application/octet-stream": {"schema": {}},
                            "image/*": {"schema": {}},
                        },
                    },
                    "responses": {
                        "200": _json("Predictions"),
                        "422": _json("Predictions", "No picture can be used."),
                        **{code: _json("Error", words) for code, words in refused.items()},
                    },
                    **secured,
                }
            },
            "/api/v1/model": {
                "get": {
                    "operationId": "model",
                    "summary": "What is known of the models, and what they predicted of late",
                    "parameters": [model],
                    "responses": {
                        "200": _json("Models"),
                        **{
                            code: _json("Error", refused[code])
                            for code in ("400", "401", "404", "405", "503")
                        },
                    },
                    **secured,
                }
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": _object({"error": {"type": "string"}}),
                "Predictions": _object(
                    {
                        "model": _object(
                            {key: {"type": "string"} for key in ("name", "model", "digest")}
                        ),
                        "version": {"type": "string"},
                        "notice": {"type": "string"},
                        "pictures": {"type": "array", "items": _picture()},
                    },
                    error={"type": "string"},
                ),
                "Models": _object(
                    {
                        "version": {"type": "string"},
                        "models": {"type": "array", "items": {"type": "object"}},
                    }
                ),
            },
        },
    }


def _picture() -> dict[str, Any]:
    number = {"type": "number", "minimum": 0, "maximum": 1}
    return _object(
        {
            "file": {"type": "string"},
            "status": {"enum": ["ok", "converted", "unusable"]},
        },
        error={"type": "string"},
        predicted={"type": "string"},
        probability=number,
        probabilities={"type": "object", "additionalProperties": number},
        unsure={"type": "boolean"},
        set={"type": "array", "items": {"type": "string"}},
        unlike={"type": "boolean"},
        unlikeness={"type": ["number", "null"]},
        notes={"type": "array", "items": {"type": "string"}},
    )


def _object(required: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "object", "properties": required | others, "required": list(required)}


def _json(schema: str, description: str = "What was asked for.") -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}
