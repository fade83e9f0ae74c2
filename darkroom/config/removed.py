"""Settings of earlier versions."""

from __future__ import annotations

from typing import Any

# Sections that changed how figures are computed and have no use now: they are left out, and named.
UNUSED = {"evaluate": "this section has no effect; leave it out: intervals are no longer drawn"}

# What to write in place of others. `*` is any name.
REMOVED = {
    "report.mistakes": "this setting has another name now: write report.misclassified",
    "classifiers.*.accelerate": "this setting was removed; leave it out: scikit-learn alone fits",
    "classifiers.*.search": "this setting was removed; write tune: {space: {settings.C: [1, 10, 100]}}, which compares settings by the validation rows",
}


def without_unused(config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A configuration without the sections of `UNUSED`, and a sentence for each that it had."""
    kept = {key: value for key, value in config.items() if key not in UNUSED}
    return kept, [f"{key}: {UNUSED[key]}" for key in config if key in UNUSED]
