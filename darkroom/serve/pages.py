"""Pages for a person."""

from __future__ import annotations

import base64
import io
import time
from typing import Any

import numpy as np
from django.conf import settings
from django.http import HttpResponse
from django.middleware.csrf import get_token

from darkroom.features.predictions import SET_LEVEL
from darkroom.predict.picture import Table
from darkroom.serve.answers import KINDS, content, digest_of, page
from darkroom.serve.api import answered, only
from darkroom.serve.models import SCORES, Served
from darkroom.serve.service import HEAT_SECONDS, OPENING_SECONDS, Answer, shown
from darkroom.serve.uploads import Refused

BARS = 6  # classes whose bars are shown at once
DECODE = {
    "orientation": "EXIF orientation",
    "sixteen_bit": "16 bits",
    "alpha": "transparency",
    "cmyk": "CMYK",
    "animated": "animation",
}
"""Settings of decoding whose names say less to a person."""


def home(request: Any) -> HttpResponse:
    """The form, and below it what was predicted of the pictures that it sent."""
    only(request, "GET", "HEAD", "POST")
    get_token(request)
    service = settings.SERVICE
    if request.method != "POST":
        # the form is there before the model is: a person takes longer to choose a picture
        return page(request, "home.html", chosen=service.named(request.GET.get("model", "")))
    served, answers = answered(request, request.POST.get("model", ""), OPENING_SECONDS)
    until = time.monotonic() + HEAT_SECONDS
    looked = "looked" in request.POST
    pictures = [_shown(served, answer, until if looked else 0.0) for answer in answers]
    table = csv(served, answers)
    found: dict[str, Any] = {
        "chosen": served.name,
        "pictures": pictures,
        "csv": "data:text/csv;base64," + base64.b64encode(table.encode()).decode(),
        "looked": looked,
    }
    template = "results.html" if "part" in request.GET else "home.html"
    return page(request, template, **found)


def csv(served: Served, answers: list[Answer]) -> str:
    """The table of `python -m darkroom predict --csv`."""
    file = io.StringIO()
    table = Table(file, served.model)
    for answer in answers:
        table.write(answer.prediction)
    return file.getvalue()


def _shown(served: Served, answer: Answer, until: float) -> dict[str, Any]:
    """A prediction as its template shows it."""
    one = answer.prediction
    if not one.predicted:
        return {"file": one.file, "trouble": one.reason}
    percent = {
        name: 100 * float(p)
        for name, p in zip(served.model.classes, one.probabilities, strict=True)
    }
    ranked = sorted(percent.items(), key=lambda pair: -pair[1])
    bars = [
        {"name": name, "percent": f"{value:.1f}", "own": name == one.predicted}
        for name, value in ranked
    ]
    heat = settings.SERVICE.heat(served, answer, until) if until else None
    two = len(served.model.classes) == 2 and served.threshold != 0.5
    return {
        "file": one.file,
        "predicted": one.predicted,
        "percent": f"{percent[one.predicted]:.1f}",
        "bars": bars[:BARS],
        "more": bars[BARS:],
        "unsure": answer.unsure,
        "unlike": one.unlike,
        "set": ", ".join(one.classes),
        "several": len(one.classes) > 1,
        "set_level": round(100 * SET_LEVEL),
        "notes": answer.notes,
        "image": shown(answer.pixels),
        "heat": _cells(heat),
        "late": bool(until) and heat is None,
        "threshold": f"{served.threshold:.3g}" if two else "",
        "second": served.model.classes[-1],
    }


def _cells(heat: np.ndarray | None) -> dict[str, Any] | None:
    """The parts of a heat map that are not nothing, as rectangles with their opacity."""
    if heat is None:
        return None
    most = float(heat.max())
    cells = [
        {"x": x, "y": y, "opacity": f"{0.75 * value / most:.2f}"}
        for (y, x), value in np.ndenumerate(heat)
        if most > 0 and value > 0.05 * most
    ]
    return {"side": len(heat), "cells": cells, "most": f"{100 * most:.1f}"}


def card(request: Any, name: str) -> HttpResponse:
    """What is known of a model."""
    only(request, "GET", "HEAD")
    service = settings.SERVICE
    served = service.model(name)
    found = service.card(served)
    address = request.build_absolute_uri("/").rstrip("/")
    scores = [{"name": SCORES[key], **value} for key, value in found["scores"].items()]
    known: dict[str, Any] = {
        "card": found,
        "scores": scores,
        "decode": {DECODE.get(key, key.replace("_", " ")): v for key, v in found["decode"].items()},
        "together": sum(row["n"] for row in found["by_class"]) != found["test_images"],
        "address": address,
    }
    return page(request, "card.html", chosen=name, **known)


def static(request: Any, digest: str, name: str) -> HttpResponse:
    """Style or script."""
    only(request, "GET", "HEAD")
    if name not in KINDS or digest != digest_of(name):
        raise Refused(404, "There is no such file.")
    response = HttpResponse(content(name), content_type=KINDS[name])
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
