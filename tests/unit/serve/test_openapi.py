"""The document of the API, and whether the server does as it says."""

from __future__ import annotations

import random
from collections.abc import Callable

import jsonschema
from django.test import Client

from tests.support.small_chain import Chain
from tests.unit.serve.test_serve import PREDICT, post, some


def test_the_document_of_the_api(client: Client, told: Callable[..., Client]) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {"/api/v1/predict", "/api/v1/model"}
    secured = told(token="s" * 20).get("/api/v1/openapi.json").json()
    assert secured["paths"]["/api/v1/predict"]["post"]["security"] == [{"token": []}]


def test_answers_have_the_form_that_the_document_says(client: Client, chain: Chain) -> None:
    document = client.get("/api/v1/openapi.json").json()
    for name, answer in {
        "Predictions": post(client, some(chain)[0]),
        "Models": client.get("/api/v1/model"),
        "Error": client.get(PREDICT),
    }.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.validate(answer.json(), schema)


def test_whatever_is_sent_gets_an_answer_of_the_document(client: Client, chain: Chain) -> None:
    """What schemathesis does, whose thirteen packages are left out."""
    rng = random.Random(0)
    picture = some(chain)[0].read_bytes()
    form = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n%s\r\n--b--\r\n'
    whole = form % (b"pictures", picture)
    bodies = [
        b"", b"\0", picture, picture[:100], rng.randbytes(300), b"{}", whole, whole[:-7], whole[9:],
        form % (b"", b""), form % (b"model", picture), b"model=shapes", whole[:60] + rng.randbytes(40),
    ]  # fmt: skip
    kinds = [
        "", "image/png", "image/", "application/octet-stream", "multipart/form-data",
        "multipart/form-data; boundary=b", "multipart/form-data; boundary=" + 99 * "é",
        "application/json", "application/x-www-form-urlencoded", "\xff", "text/plain; charset=none",
    ]  # fmt: skip
    queries = ["", "?", "?model=shapes", "?model=", "?model=%00%ff", "?model=x&model=shapes", "?%"]
    methods = ["GET", "POST", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "QUERY"]
    document = client.get("/api/v1/openapi.json").json()
    seen = set()
    for path, operations in document["paths"].items():
        for _ in range(150):
            sent = [rng.choice(choices) for choices in (methods, queries, bodies, kinds)]
            method, query, body, kind = sent
            answer = client.generic(method, path + query, body, content_type=kind)
            seen.add(answer.status_code)
            operation = operations.get(method.lower(), next(iter(operations.values())))
            described = operation["responses"].get(str(answer.status_code))
            assert described, (answer.status_code, sent)
            if method == "HEAD":
                continue
            form_of = described["content"]["application/json"]["schema"]
            jsonschema.validate(answer.json(), form_of | {"components": document["components"]})
    assert seen == {200, 400, 404, 405, 415, 422}
