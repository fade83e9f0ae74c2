"""The jobs of a run from its beginning, as Snakemake itself plans them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.workflow.stages import STAGES

PLANNING = "DARKROOM_PLANNING"
"""Set in the environment of a Snakemake that is asked for a plan alone: it checks and locks nothing."""


class Job(NamedTuple):
    """A job: its stage, the wildcards of its output, and its threads."""

    stage: str
    wildcards: dict[str, str]
    threads: int


def plan(
    files: Sequence[str],
    values: Mapping[str, Any],
    folder: Path,
    cores: int,
    root: Path = ROOT,
) -> list[Job]:
    """All jobs of a run from its beginning.

    Parameters
    ----------
    files : settings on top of config.yaml.
    values : settings on top of these.
    folder : the working directory of the run; nothing stays in it.
    cores : of the machine.
    root : the project's folder.

    Raises
    ------
    UserError
        Snakemake cannot plan the run: with its words.
    """
    import yaml

    env = {name: value for name, value in os.environ.items() if name != "SNAKEMAKE_PROFILE"}
    new = not (folder / ".snakemake").exists()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as last:
        yaml.safe_dump(dict(values), last)
        last.flush()
        overlays = ["--configfile", *files, last.name] if files or values else []
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--cores", str(cores),
             "--snakefile", str(root / "Snakefile"), "--directory", str(folder),
             "--workflow-profile", "none", "--nocolor", *overlays],
            env=env | {PLANNING: "yes"}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    if new:
        shutil.rmtree(folder / ".snakemake", ignore_errors=True)
    if done.returncode != 0:
        raise UserError((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
    return jobs(done.stdout)


def jobs(printed: str) -> list[Job]:
    """The jobs that a dry run printed, those of targets left out."""
    found = []
    for block in re.split(r"^(?:local)?rule ", printed, flags=re.M)[1:]:
        fields = dict(re.findall(r"^    (wildcards|threads): (.*)$", block, flags=re.M))
        stage = block.split(":")[0]
        if stage in STAGES:
            pairs = [pair.split("=", 1) for pair in fields.get("wildcards", "").split(", ") if pair]
            found.append(Job(stage, dict(pairs), int(fields.get("threads", 1))))
    return found
