"""Where what is not here yet comes from: mirror, token, network."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.machine.drivers import Finding
from darkroom.sources import addresses
from darkroom.sources import mirror as mirror_folder
from darkroom.workflow.doctor.request import Request, some

REMOTE = ("https", "kaggle", "kaggle-competition")


def look(request: Request) -> Iterator[Finding]:
    """Where what is not here yet comes from: mirror, token, network."""
    settings = request.settings
    if settings is None:
        return
    mirror = settings.mirror
    if mirror is not None:
        place = request.folder / addresses.local_path(mirror)
        if mirror_folder.is_address(mirror):
            there = mirror_folder.answer(mirror) is not None
            what = "answers" if there else "does not answer; mend `mirror`"
            yield Finding("ok" if there else "problem", f"mirror {addresses.shown(mirror)} {what}")
        elif place.is_dir() and os.access(place, os.R_OK | os.X_OK):
            yield Finding("ok", f"mirror {mirror}: {sum(1 for _ in place.iterdir())} files")
        else:
            yield Finding("problem", f"mirror {mirror}: no folder that you may read; mend `mirror`")
    missing: dict[str, list[str]] = {}
    for name in settings.run.datasets:
        source = settings.datasets[name].source
        try:
            kind = addresses.kind(source)
        except UserError:
            continue  # the settings' section says so
        if kind in REMOTE and not (request.folder / "data" / name / "source.json").exists():
            host = "www.kaggle.com" if kind.startswith("kaggle") else urlsplit(source).netloc
            missing.setdefault(host.split("@")[-1], []).append(name)
    weights = [
        name
        for name in dict.fromkeys(
            b for d in settings.run.datasets for b in settings.backbones_of(d)
        )
        if not (request.folder / "data" / "weights" / f"{name}.h5").exists()
        and settings.features[name].weights.startswith(("imagenet", "https:"))
    ]
    for name in weights:
        given = settings.features[name].weights
        host = "storage.googleapis.com" if given == "imagenet" else urlsplit(given).netloc
        missing.setdefault(host, []).append(f"weights of {name}")
    if "www.kaggle.com" in missing or _uses_kaggle(settings):
        yield _token("www.kaggle.com" in missing)
    for host, wanted in missing.items():
        yield _reached(host, some(wanted), mirror)
    if not missing:
        yield Finding("ok", "nothing is to be fetched from the network")


def _uses_kaggle(settings: Settings) -> bool:
    return any(settings.datasets[d].source.startswith("kaggle") for d in settings.run.datasets)


def _token(needed: bool) -> Finding:
    from darkroom.sources import kaggle

    try:
        found = kaggle.credentials()
    except UserError as error:
        return Finding("problem", str(error))
    if found is not None:
        return Finding("ok", f"a Kaggle token, from {found.where}")
    return Finding(
        "problem" if needed else "note",
        f"no Kaggle token: make one at {kaggle.TOKENS} and save it as ~/.kaggle/access_token",
    )


def _reached(host: str, what: str, mirror: str | None) -> Finding:
    name, _, port = host.partition(":")
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if proxy:
        return Finding("note", f"{what}: fetched from {host} through your proxy")
    try:
        socket.create_connection((name, int(port or 443)), timeout=3).close()
    except (OSError, ValueError) as error:
        level: Any = "note" if mirror else "problem"
        other = "the mirror has to have it" if mirror else (
            "run `snakemake --cores 1 download` where the network is, or name a folder by `mirror`"
        )  # fmt: skip
        return Finding(level, f"{what}: {host} is not reached ({error}); {other}")
    return Finding("ok", f"{what}: {host} is reached")
