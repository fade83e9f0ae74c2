"""Presets on small stand-ins of their sources: few images and epochs, small pictures.

Networks, splits, filters and classifiers are the preset's. To try the chest X-rays without their data:

    python -m tests.support.small_presets FOLDER
    python -m darkroom run --configfile presets/chest_xray.yaml FOLDER/small.yaml
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from darkroom import ROOT
from tests.support import published_trees


@dataclass
class Published:
    """Sources as their hosts have them: `address` serves `folder`, which is a `mirror:` too."""

    folder: Path
    address: str = ""


def preset(name: str) -> dict[str, Any]:
    settings = yaml.safe_load((ROOT / f"presets/{name}.yaml").read_text())
    assert isinstance(settings, dict)
    return settings


def small(name: str, published: Published) -> dict[str, Any]:
    """An overlay that leaves a preset what it is and makes it quick."""
    said = preset(name)
    overlay: dict[str, Any] = {
        "mirror": str(published.folder),
        "datasets": {},
        "models": {},
        "features": {},
        "classifiers": {},
    }
    for dataset, settings in said["datasets"].items():
        source = settings["source"].partition("#")[0]
        changed: dict[str, Any] = {}
        if source.startswith("https://"):  # a small file has another hash than the published one
            changed["source"] = f"{published.address}/{source.rpartition('/')[2]}"
        elif source.startswith("/"):
            changed["source"] = str(published.folder / Path(source).name)
        size = settings.get("view", {}).get("size", 64)
        changed["view"] = {"size": min(size, 64)}
        if "folds" in settings.get("split", {}):
            # each fold trains anew: two where the preset is about that, elsewhere one split
            changed["split"] = {"folds": 2 if name.endswith("_cv") else None}
        if "quotas" in settings.get("split", {}):
            changed["split"] = {
                "quotas": {
                    "covid": {"train": 12, "test": "rest"},
                    "normal": {"train": 20, "test": 6},
                    "pneumonia": {"train": 24, "test": 8},
                }
            }
        overlay["datasets"][dataset] = changed
    for kind in ("models", "classifiers"):
        for member, settings in said.get(kind, {}).items():
            overlay[kind][member] = changed = {}
            if kind == "models":
                changed |= {"epochs": 2, "batch": 16, "seeds": [0]}
                if "fine_tune" in settings:
                    changed["fine_tune"] = {"epochs": 1}
            if "tune" in settings:
                changed["tune"] = {"trials": 2} | ({"epochs": 1} if kind == "models" else {})
    for name_ in said.get("features", {}):
        overlay["features"][name_] = {"view": {"size": 32}}
    return overlay


def main(folder: Path) -> None:
    """Write the chest X-rays' stand-in, and the settings that go on top of the preset's."""
    folder.mkdir(parents=True, exist_ok=True)
    published_trees.chest_xray(folder / "chest-xray-covid19-pneumonia.zip")
    overlay = small("chest_xray", Published(folder.absolute()))
    (folder / "small.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
