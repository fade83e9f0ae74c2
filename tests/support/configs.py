"""A small configuration, changed by path, and what is said of one that is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError

BASE: dict[str, Any] = {
    "run": {"datasets": ["pets"], "models": ["cnn"], "classifiers": ["svm"]},
    "datasets": {"pets": {"source": "photos.zip"}},
    "models": {"cnn": {"layers": [{"conv": 8}, "flatten"]}},
    "classifiers": {"svm": {"kind": "svm"}},
}


def with_value(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(BASE)
    here: Any = config
    *parents, last = path.split(".")
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return config


def mistake(config: dict[str, Any], files: list[str] | None = None) -> str:
    with pytest.raises(UserError) as error:
        Settings.load(config, files)
    return str(error.value)


def documented(part: str, name: str) -> Any:
    """An example of docs/settings.yaml."""
    return yaml.safe_load(Path("docs/settings.yaml").read_text())[part][name]


def trained(settings: Settings, model: str) -> dict[str, Any]:
    wildcards = {"dataset": "pets", "fold": "holdout", "model": model, "seed": "0"}
    spec: dict[str, Any] = stage_settings(settings, "train_model", wildcards)["model"]
    return spec


BACKBONE = {"kind": "backbone", "application": "MobileNet"}
