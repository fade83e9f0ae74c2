"""The sections of settings and origin: what the results were made from, and by what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from darkroom.machine import hardware
from darkroom.report.results import Results


def section(results: Results, costs: list[hardware.Cost]) -> dict[str, Any]:
    """Source, code, machine, and the time and memory of each stage."""
    licence = results.cfg["settings"]["dataset"].get("license")
    return {
        "source": {**results.source, "license": licence or results.source.get("license")},
        "commit": hardware.commit(),
        "versions": hardware.versions(),
        "hardware": hardware.hardware(),
        "costs": costs,
    }


def settings(results: Results) -> str:
    """The settings as YAML."""
    import yaml

    shown = condensed(results.cfg["settings"], results.cfg["compared"])
    text: str = yaml.safe_dump(
        json.loads(json.dumps(shown)),
        sort_keys=False,
        allow_unicode=True,
        width=88,
        default_flow_style=None,
    )
    return text.strip()


def condensed(settings: Mapping[str, Any], compared: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Settings to show: what a comparison's networks share once, then what each has of its own."""
    models = dict(settings.get("models") or {})
    for name, members in compared.items():
        own = {m: models.pop(m) for m in members if m in models}
        if own:
            shared = _shared(list(own.values()))
            parts = {m.removeprefix(f"{name}-"): _rest(s, shared) for m, s in own.items()}
            models[name] = shared | {"compare": parts}
    return {**settings, "models": models} if models else dict(settings)


def _shared(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = settings
    out: dict[str, Any] = {}
    for key, value in first.items():
        if not all(key in o for o in others):
            continue
        same = [o[key] for o in others]
        if all(value == v for v in same):
            out[key] = value
        elif isinstance(value, dict) and all(isinstance(v, dict) for v in same):
            inner = _shared([value, *same])
            if inner:
                out[key] = inner
    return out


def _rest(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in shared:
            out[key] = value
        elif value != shared[key]:
            out[key] = _rest(value, shared[key])
    return out
