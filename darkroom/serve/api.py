"""Answers to programs."""

from __future__ import annotations

import math
import time
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from darkroom import __version__
from darkroom.serve.answers import to_json
from darkroom.serve.models import Served
from darkroom.serve.openapi import document
from darkroom.serve.service import Answer
from darkroom.serve.uploads import Refused, taken


def only(request: Any, *methods: str) -> None:
    """Refuse another method.

    Raises
    ------
    Refused
        405.
    """
    if request.method not in methods:
        raise Refused(
            405,
            f"{request.path} takes {' and '.join(methods)}, not {request.method}.",
            Allow=", ".join(methods),
        )


def may(request: Any) -> None:
    """Refuse a program without the token.

    Raises
    ------
    Refused
        401.
    """
    if not settings.SERVICE.options.may_ask(request.headers.get("Authorization", "")):
        raise Refused(
            401,
            "This server wants a token: send the header Authorization: Bearer TOKEN.",
            WWW_Authenticate="Bearer",
        )


def answered(request: Any, model: str, wait: float = 0.0) -> tuple[Served, list[Answer]]:
    """Take the pictures of a request and predict them.

    Parameters
    ----------
    model : its name. wait : seconds for it to be opened.

    Raises
    ------
    Refused
        Nothing is predicted, see `uploads.taken`; or too many pictures a minute (429).
    """
    service = settings.SERVICE
    served = service.model(model, wait)
    uploads = taken(request)
    address = request.META.get("REMOTE_ADDR", "")
    if wait := service.rate.wait(address, len(uploads), time.monotonic()):
        raise Refused(
            429,
            f"More than {service.options.rate} pictures a minute: send the next in {wait:.0f} s.",
            Retry_After=str(math.ceil(wait)),
        )
    answers = service.predict(served, uploads)
    request.said = {
        "model": served.name,
        "digest": served.digest[:12],
        "pictures": len(answers),
        "unusable": sum(not answer.prediction.predicted for answer in answers),
    }
    return served, answers


@csrf_exempt  # type: ignore[untyped-decorator]
def predict(request: Any) -> HttpResponse:
    """`POST /api/v1/predict`."""
    only(request, "POST")
    may(request)
    asked = request.GET.get("model", "")
    if not asked and request.content_type == "multipart/form-data":
        asked = request.POST.get("model", "")
    served, answers = answered(request, asked)
    pictures = [_picture(served, answer) for answer in answers]
    failed = [p["error"] for p in pictures if "error" in p]
    body = {
        "model": {"name": served.name, "model": served.model.name, "digest": served.digest},
        "version": __version__,
        "notice": settings.SERVICE.notice(served),
        "pictures": pictures,
    }
    if len(failed) == len(pictures):
        return to_json({"error": f"No picture can be used: {failed[0]}", **body}, 422)
    return to_json(body)


def _picture(served: Served, answer: Answer) -> dict[str, Any]:
    one = answer.prediction
    if not one.predicted:
        return {"file": one.file, "status": one.status, "error": one.reason}
    return {
        "file": one.file,
        "status": one.status,
        "predicted": one.predicted,
        "probability": answer.probability,
        "probabilities": dict(zip(served.model.classes, one.probabilities.tolist(), strict=True)),
        "unsure": answer.unsure,
        "set": list(one.classes),
        "unlike": one.unlike,
        "unlikeness": one.unlikeness,
        "notes": answer.notes,
    }


@csrf_exempt  # type: ignore[untyped-decorator]
def model(request: Any) -> HttpResponse:
    """`GET /api/v1/model`: the card of one, or of all."""
    only(request, "GET", "HEAD")
    may(request)
    service = settings.SERVICE
    asked = request.GET.get("model", "")
    names = [asked] if asked else service.names or [""]
    cards = [service.card(service.model(name)) for name in names]
    return to_json({"version": __version__, "models": cards})


@csrf_exempt  # type: ignore[untyped-decorator]
def openapi(request: Any) -> HttpResponse:
    """`GET /api/v1/openapi.json`."""
    only(request, "GET", "HEAD")
    return to_json(document(settings.SERVICE.options))


@csrf_exempt  # type: ignore[untyped-decorator]
def healthz(request: Any) -> HttpResponse:
    """Whether the process answers."""
    only(request, "GET", "HEAD")
    return to_json({"status": "ok", "version": __version__})


@csrf_exempt  # type: ignore[untyped-decorator]
def readyz(request: Any) -> HttpResponse:
    """Whether every model is open."""
    only(request, "GET", "HEAD")
    service = settings.SERVICE
    if service.ready:
        return to_json({"status": "ready"})
    raise service.not_open()


@csrf_exempt  # type: ignore[untyped-decorator]
def metrics(request: Any) -> HttpResponse:
    """Counters for Prometheus."""
    only(request, "GET", "HEAD")
    return HttpResponse(
        settings.SERVICE.counts.text(), content_type="text/plain; version=0.0.4; charset=utf-8"
    )
