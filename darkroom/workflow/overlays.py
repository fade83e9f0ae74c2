"""The settings as a run would have them: config.yaml, files and single values on top of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom import ROOT
from darkroom.config.compare import merged
from darkroom.config.files import load
from darkroom.config.settings import Settings
from darkroom.workflow import recipe


def read(
    files: Sequence[str], values: Mapping[str, Any], root: Path = ROOT, folder: Path = Path()
) -> Settings:
    """Read and check the settings.

    Parameters
    ----------
    files : settings on top of config.yaml, in the order of merging.
    values : on top of these.
    root : the project's folder.
    folder : the working directory of a run.

    Raises
    ------
    UserError
        A file that cannot be read or holds no settings; settings that are not valid.
    """
    config: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    named = [str(root / "config.yaml"), *files]
    for file in named:
        config = merged(config, load(file))
        defaults = defaults or config
    config = merged(config, dict(values))
    chosen = recipe.choose(config, defaults, folder)
    return Settings.load(recipe.applied(config, defaults, chosen), files=named, chosen=chosen)
