"""What every request passes: limits before its body is read, headers of its answer, a line of log."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpResponse

from darkroom import __version__
from darkroom.serve.answers import refusal
from darkroom.serve.options import size
from darkroom.serve.uploads import Refused

log = logging.getLogger("darkroom.serve.requests")

Answering = Callable[[Any], HttpResponse]

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


def guard(answer: Answering) -> Answering:
    """Refuse what is too large or without a length; add headers; count and log each answer.

    A line of the log has no name of a file and nothing of a picture.
    """

    def guarded(request: Any) -> HttpResponse:
        began = time.perf_counter()
        request.number = uuid.uuid4().hex[:12]
        try:
            _check_length(request)
            response = answer(request)
        except Refused as refused:
            response = refusal(request, refused)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Permissions-Policy"] = "geolocation=(), microphone=(), usb=()"
        response.headers["X-Request-ID"] = request.number
        response.headers["X-Darkroom-Version"] = __version__
        response.headers.setdefault("Cache-Control", "no-store")
        seconds = time.perf_counter() - began
        counts = settings.SERVICE.counts
        counts.requests.labels(_method(request), str(response.status_code)).inc()
        if request.method == "POST":
            counts.seconds.observe(seconds)
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": request.number,
            "method": request.method,
            "path": request.path[:200],
            "status": response.status_code,
            "ms": round(1000 * seconds, 1),
            "version": __version__,
            **getattr(request, "said", {}),
        }
        log.info("%s", json.dumps(line))
        return response

    return guarded


class Sentences:
    """What a view refuses becomes its sentence, see `answers.refusal`."""

    def __init__(self, answer: Answering) -> None:
        self.answer = answer

    def __call__(self, request: Any) -> HttpResponse:
        """Go on."""
        return self.answer(request)

    def process_exception(self, request: Any, error: Exception) -> HttpResponse | None:
        """Django calls it for what a view raises."""
        return refusal(request, error) if isinstance(error, Refused) else None


def _method(request: Any) -> str:
    return request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"


def _check_length(request: Any) -> None:
    most = settings.SERVICE.options.request_bytes
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit():
        raise Refused(400, "Content-Length is no number.")
    if int(length) > most:
        raise Refused(
            413,
            f"The request has {size(int(length))}; {size(most)} are allowed: send fewer pictures.",
        )
