"""A copy of the project with a small data set of its own, in which Snakemake is run for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from darkroom import ROOT
from tests.support import warm
from tests.support.pictures import class_folders

PARTS = ["Snakefile", "config.yaml", "darkroom", "rules", "scripts", "profiles", "report", "envs"]
# Digests of code, kept by its content. They are here once Snakemake ran here, as for `make lint`;
# to compute them takes longer than a dry run.
DIGESTS = ROOT / ".snakemake/darkroom-code.json"

TINY: dict[str, Any] = {
    "run": {"datasets": ["shapes"], "models": ["tiny"], "features": ["pixels"],
            "classifiers": ["svm", "random_forest"]},
    "datasets": {"shapes": {"source": "pictures", "view": {"size": 12},
                            "augment": {"variants": ["flip"]}}},
    "models": {"tiny": {"layers": [{"conv": 6}, {"pool": 2}, "flatten", {"dense": 8}],
                        "epochs": 3, "batch": 4, "seeds": [0]}},
    "features": {"pixels": {"kind": "pixels", "view": {"size": 8}}},
    "classifiers": {"svm": {"kind": "svm"},
                    "random_forest": {"kind": "random_forest", "settings": {"n_estimators": 9}}},
}  # fmt: skip


@dataclass
class Workspace:
    """A folder with the workflow in it; `config` is its overlay."""

    root: Path
    config: dict[str, Any] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        drop = ("PYTHONPATH", "COV_", "SNAKEMAKE")
        env = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
        return env | {"XDG_CACHE_HOME": str(self.root / ".cache"), "TF_CPP_MIN_LOG_LEVEL": "2"}

    def command(self, *arguments: str) -> list[str]:
        """The words of a run, whose settings are written."""
        kept = self.root / ".snakemake"
        if DIGESTS.exists() and not kept.exists():
            kept.mkdir()
            shutil.copy(DIGESTS, kept)
        (self.root / "overlay.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        base = [sys.executable, "-m", "snakemake", "--cores", "2"]
        if "--configfile" not in arguments:
            arguments = (*arguments, "--configfile", "overlay.yaml")
        return [*base, *arguments]

    def snakemake(self, *arguments: str, loaded: bool = True) -> subprocess.CompletedProcess[str]:
        """Run it.

        Parameters
        ----------
        arguments : of Snakemake.
        loaded : whether it and its jobs run in forks of processes that have loaded their packages;
            else each loads them, as for a person.
        """
        command = self.command(*arguments)
        if loaded:
            jobs = not {"-n", "--dry-run"} & set(arguments)
            return warm.run(command[3:], self.root, self.environment(), jobs=jobs)
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=warm.TIMEOUT,
            check=False,
        )

    def run(self, *arguments: str, loaded: bool = True) -> str:
        """Run and expect success; returns what was printed."""
        done = self.snakemake(*arguments, loaded=loaded)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def fail(self, *arguments: str) -> str:
        """Run and expect a mistake in words: no traceback."""
        done = self.snakemake(*arguments)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def pending(self, *arguments: str) -> dict[str, int]:
        """Jobs of each rule that a run would make now."""
        printed = self.run("--dry-run", *arguments)
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", printed, flags=re.M | re.S)
        if table is None:
            assert "Nothing to be done" in printed, printed
            return {}
        jobs = (line.split() for line in table.group(1).splitlines() if line.strip())
        targets = {"all", "download", "prepare", "train", "classify", "report", "predict", "export"}
        return {name: int(count) for name, count in jobs if name not in targets}


def make_workspace(root: Path) -> Workspace:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # With compiled code, but for what another process is writing now.
            shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy2(source, root / part)
    class_folders(root / "pictures")
    return Workspace(root, yaml.safe_load(yaml.safe_dump(TINY)))
