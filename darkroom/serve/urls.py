"""Which address leads where, and sentences for what Django itself refuses."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpResponse
from django.urls import path

from darkroom.serve import api, pages
from darkroom.serve.answers import refusal
from darkroom.serve.uploads import Refused

urlpatterns = [
    path("", pages.home),
    path("model/<str:name>", pages.card),
    path("static/<str:digest>/<str:name>", pages.static),
    path("api/v1/predict", api.predict),
    path("api/v1/model", api.model),
    path("api/v1/openapi.json", api.openapi),
    path("healthz", api.healthz),
    path("readyz", api.readyz),
    path("metrics", api.metrics),
]


def handler400(request: Any, exception: Exception) -> HttpResponse:
    """A request that cannot be read."""
    if isinstance(exception, DisallowedHost):
        sentence = "This server does not go by that name: start it with --allow NAME."
    else:
        sentence = "The request cannot be read: it is cut off, or its form is damaged."
    return refusal(request, Refused(400, sentence))


def handler404(request: Any, exception: Exception) -> HttpResponse:
    """An address that leads nowhere."""
    return refusal(request, Refused(404, "There is no such page."))


def handler500(request: Any) -> HttpResponse:
    """A defect of the server."""
    number = getattr(request, "number", "")
    sentence = f"The server made a mistake; its log has it under {number}."
    return refusal(request, Refused(500, sentence))


def forged(request: Any, reason: str = "") -> HttpResponse:
    """A form that did not come from the page."""
    sentence = (
        "The form did not come from this page, or the browser keeps no cookies: "
        "open the page again and send it once more."
    )
    return refusal(request, Refused(403, sentence))
