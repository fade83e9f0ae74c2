"""Forms that answers have: a sentence about what went wrong, as JSON or as a page."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string

from darkroom import __version__
from darkroom.serve.options import size
from darkroom.serve.uploads import Refused

PAGE = Path(__file__).parent / "page"
KINDS = {"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8"}


@cache
def content(name: str) -> bytes:
    """The style or the script."""
    return (PAGE / name).read_bytes()


def digest_of(name: str) -> str:
    """What the address of the style or the script says of its content."""
    return hashlib.sha256(content(name)).hexdigest()[:12]


def to_json(value: Any, status: int = 200) -> HttpResponse:
    """An answer to a program."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return HttpResponse(text + "\n", content_type="application/json", status=status)


def page(request: Any, template: str, status: int = 200, **shown: Any) -> HttpResponse:
    """A page of `page/`."""
    service = settings.SERVICE
    served = service.models.get(shown.get("chosen") or next(iter(service.names), ""))
    common = {
        "version": __version__,
        "notice": service.notice(served) if served else service.options.notice,
        "options": service.options,
        "limit": size(service.options.picture_bytes),
        "names": service.names,
        "classes": served.model.classes if served else [],
        "files": {name.partition(".")[0]: f"/static/{digest_of(name)}/{name}" for name in KINDS},
    }
    return HttpResponse(render_to_string(template, common | shown, request), status=status)


def refusal(request: Any, refused: Refused) -> HttpResponse:
    """One sentence: JSON to a program, a page to a person."""
    if request.path.startswith("/api/") or request.path in ("/healthz", "/readyz", "/metrics"):
        response = to_json({"error": str(refused)}, refused.status)
    else:
        part = "refused.html" if "part" in request.GET else "refused_page.html"
        response = page(request, part, refused.status, sentence=str(refused))
        if request.method == "GET" and "Retry-After" in refused.headers:
            response.headers["Refresh"] = refused.headers["Retry-After"]  # a browser asks again
    for name, value in refused.headers.items():
        response.headers[name] = value
    return response
