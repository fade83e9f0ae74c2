"""Earlier runs of a data set with other settings: each keeps its report, and this one lists them.

`runs/{digest}/` beside the report has `report.html` and `run.json` of the last run with those settings.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from darkroom.machine import disk
from darkroom.report.results import Results, heading

FOLDER = "runs"


def digest(results: Results) -> str:
    """8 hexadecimal digits of all settings that differ from the defaults."""
    text = json.dumps(results.cfg["settings"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def section(results: Results, page: str) -> list[dict[str, Any]]:
    """The runs with other settings, the latest first: `run.json` of each, and what differs here.

    Parameters
    ----------
    results : of this run.
    page : path of its report.
    """
    own = digest(results)
    found = []
    for file in Path(page).parent.glob(f"{FOLDER}/*/run.json"):
        try:
            run = json.loads(file.read_text(encoding="utf-8"))
            other = {key: run[key] for key in ("made", "best", "part")}
            other |= {key: float(run[key]) for key in ("accuracy", "low", "high")}
            other["differs"] = _differences(run["settings"], results.cfg["settings"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # not ours
        if file.parent.name != own:
            other["link"] = f"{FOLDER}/{file.parent.name}/report.html"
            found.append(other)
    return sorted(found, key=lambda run: str(run["made"]), reverse=True)


def keep(results: Results, page: str) -> None:
    """Keep this run's report and score for later runs; nothing where nothing was evaluated.

    Parameters
    ----------
    results : of this run.
    page : path of its report, which is written.
    """
    choice, score = results.choice, results.headline
    if choice is None or score is None:
        return
    run = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "best": heading(choice.key),
        "part": results.part,
        "accuracy": float(score["accuracy"]),
        "low": float(score["accuracy_low"]),
        "high": float(score["accuracy_high"]),
        "settings": results.cfg["settings"],
    }
    place = Path(page).parent / FOLDER / digest(results)
    place.mkdir(parents=True, exist_ok=True)
    with disk.whole(place / "report.html") as part:
        shutil.copyfile(page, part)
    with disk.whole(place / "run.json") as part:
        part.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _differences(other: Any, own: Any, path: str = "") -> list[str]:
    """What one has and the other has not, as `key: value` of the other's, or `no key`."""
    if not (isinstance(other, dict) and isinstance(own, dict)):
        value = other if isinstance(other, (str, int, float)) else json.dumps(other)
        return [] if other == own else [f"{path}: {value}"]
    out = []
    for key in dict.fromkeys([*other, *own]):
        where = f"{path}.{key}" if path else str(key)
        if key not in other:
            out.append(f"no {where}")
        elif key not in own:
            out.append(f"{where}: {_short(other[key])}")
        else:
            out += _differences(other[key], own[key], where)
    return out


def _short(value: Any, most: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value).replace('"', "")
    return text if len(text) <= most else f"{text[:most]}…"
