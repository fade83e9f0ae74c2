"""Executors and storage that the profiles name, and whether their plugins are installed."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.machine.drivers import Finding
from darkroom.workflow.doctor.request import Request

PLUGINS = ("cluster", "kubernetes")  # environments of Snakemake with plugins: `make cluster`


def look(request: Request) -> Iterator[Finding]:
    """Executors and storage that the profiles name, and whether their plugins are there."""
    import yaml

    for file in sorted((request.root / "profiles").glob("*/*.yaml")):
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError):
            yield Finding("problem", f"profiles/{file.parent.name} cannot be read as YAML")
            continue
        wanted = {
            "executor": str(read.get("executor", "local")),
            "storage": str(read.get("default-storage-provider", "")),
        }
        plugins = [
            f"snakemake-{kind}-plugin-{name}"
            for kind, name in wanted.items()
            if name not in ("", "none", "local", "dryrun", "touch")
        ]
        without = [p for p in plugins if importlib.util.find_spec(p.replace("-", "_")) is None]
        name = f"profile {file.parent.name}"
        beside = next(
            (made for made in PLUGINS if _hold(request.root / f".venv-{made}", without)), ""
        )
        if without and beside:
            yield Finding("ok", f"{name}: by .venv-{beside}/bin/snakemake")
        elif without:
            made = "kubernetes" if "kubernetes" in wanted["executor"] else "cluster"
            known = file.parent.name in ("slurm", "lsf", "generic", "kubernetes")
            how = f"`make {made}`" if known else f"pip install {' '.join(without)}"
            yield Finding("note", f"{name} needs {', '.join(without)}, to be used: {how}")
        elif plugins:
            yield Finding("ok", f"{name}: {', '.join(plugins)}")
        if wanted["executor"] == "slurm" and not without and shutil.which("sbatch") is None:
            yield Finding("note", f"{name}: no sbatch here; it is used on a login node of Slurm's")


def _hold(environment: Path, packages: Sequence[str]) -> bool:
    """Whether all packages are in an environment beside this one."""
    folders = list(environment.glob("lib/python*/site-packages"))
    return any(
        all((folder / package.replace("-", "_")).is_dir() for package in packages)
        for folder in folders
    )
