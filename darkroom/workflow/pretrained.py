"""Whether the weights of the pretrained networks of a run can be had, before anything runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from darkroom import ROOT
from darkroom.config.recipe import HOST, NETWORKS
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError
from darkroom.machine.commands import said
from darkroom.sources import mirror
from darkroom.sources.addresses import shown
from darkroom.train import weights
from darkroom.train.backbones import Official

# In a process of its own, and only where the network is not reached: it takes Keras some seconds.
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import astuple
from darkroom.machine import gpus
from darkroom.train import backbones, keras_backend
gpus.take(0)
keras_backend.start(1, sys.argv[2])
print(json.dumps(astuple(backbones.official(*json.loads(sys.argv[3])))))
"""


def check(settings: Settings, folder: Path) -> None:
    """Check that the weights of every backbone in use can be had.

    Parameters
    ----------
    settings : of the run.
    folder : of its data/.

    Raises
    ------
    UserError
        They are not here, not in the mirror, and their server does not answer.
    """
    for name, file in missing(settings, folder).items():
        kind = f"{'sha256' if len(file.digest) == 64 else 'md5'} " if file.digest else ""
        chosen = settings.chosen is not None and settings.chosen.network == name
        raise UserError(
            f"features.{name}: its weights are not here, and {shown(file.address)} does not answer: "
            f"{mirror.hint(settings.mirror, file.name, 'that file')}"
            + (f" ({kind}{file.digest})" if kind else "")
            + ("; or train a network of your own without it: recipe=scratch" if chosen else "")
        )


def missing(settings: Settings, folder: Path) -> dict[str, Official]:
    """The backbones in use whose weights cannot be had, each with the file of them.

    Parameters
    ----------
    settings, folder : as for `check`.
    """
    found = dict[str, Official]()
    used = [name for dataset in settings.run.datasets for name in settings.backbones_of(dataset)]
    for name in dict.fromkeys(used):
        given = settings.features[name].weights
        if (folder / "data" / "weights" / f"{name}.h5").exists() or weights.local(given):
            continue
        file = _file(settings, name)
        if file is not None and not _at_hand(file, settings.mirror):
            found[name] = file
    return found


def _at_hand(file: Official, place: str | None) -> bool:
    names = [file.name]
    if mirror.find(place, names) is not None or mirror.served(place, names) is not None:
        return True
    return mirror.answer(file.address) is not None


def _file(settings: Settings, name: str) -> Official | None:
    """The file of a backbone's weights; None where it can be fetched, or where Keras cannot say it."""
    given = settings.features[name]
    if given.weights != "imagenet":
        last = unquote(urlsplit(given.weights).path).rpartition("/")[2]
        return Official(given.weights, last or "weights.h5", given.sha256)
    for network in NETWORKS:
        if (network.application, dict(network.settings)) == (given.application, given.settings):
            return Official(network.address, network.file, network.digest)
    if mirror.answer(HOST) is not None:
        return None
    shape = stage_settings(settings, "download_weights", {"features": name})["shape"]
    question = json.dumps([given.application, given.settings, shape])
    answer = said(sys.executable, "-c", ASK, str(ROOT), settings.backend, question, timeout=120)
    return Official(*json.loads(answer.splitlines()[-1])) if answer else None
