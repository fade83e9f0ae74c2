"""The size of a data set: files, bytes, rows and classes, before and after it is downloaded.

Called while the Snakefile is read and for each job that is ready. Nothing slow is imported.
"""

from __future__ import annotations

import json
import math
import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.sources import local
from darkroom.workflow.arithmetic import embedding, walk

# Of a data set that nothing is known of yet.
ASSUMED_FILES, FILE_BYTES = 20_000, 100_000
CLASSES = 10  # where neither the settings nor the split say


class Size(NamedTuple):
    """Files and bytes of a data set, and what they are known from."""

    files: int
    bytes: int
    known: Literal["download", "listing", "assumed"]


def size_of(settings: Settings, dataset: str, folder: Path = Path()) -> Size:
    """Files and bytes of a data set.

    From `data/{dataset}/source.json` where it is downloaded; else from the listing of a local
    folder or archive; else assumed.
    """
    record = os.path.join(folder, "data", dataset, "source.json")  # noqa: PTH118 (asked for each job)
    try:
        return _downloaded(record, os.stat(record).st_mtime_ns)  # noqa: PTH116 (asked for each job)
    except (OSError, ValueError, KeyError, TypeError):
        return _listed(settings.datasets[dataset].source)


@lru_cache(maxsize=1024)
def _downloaded(path: str, changed: int) -> Size:
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    return Size(int(found["files"]), int(found["bytes"]), "download")


@lru_cache(maxsize=1024)
def _listed(source: str) -> Size:
    if source == "bundled:digits":
        return Size(1797, 700_000, "listing")
    try:
        paths = local.listing(source)
        archive = local.local_input(source)
    except (UserError, OSError):
        return Size(ASSUMED_FILES, ASSUMED_FILES * FILE_BYTES, "assumed")
    files = len(paths) if paths else ASSUMED_FILES
    held = Path(archive).stat().st_size if archive else files * FILE_BYTES
    return Size(files, held, "listing" if paths else "assumed")


class Data:
    """The numbers of a data set that several stages are reckoned from."""

    def __init__(self, settings: Settings, dataset: str, folder: Path = Path()) -> None:
        self.settings, self.dataset, self.folder = settings, dataset, folder
        given = settings.datasets[dataset]
        self.files, self.bytes, _ = size_of(settings, dataset, folder)
        self.copies = sum(getattr(v.spec, "copies", 1) for v in given.augment.variants)
        self.rows = self.files * (1 + self.copies)
        split = given.split
        self.held_out = 1 / split.folds if split.folds else split.test
        training = 1 - self.held_out
        self.training = int(self.files * training * (1 + self.copies))
        self.evaluated = int(self.files * (self.held_out + training * split.validation)) + 1

    @cached_property
    def classes(self) -> int:
        """As chosen in the settings, or as the split found them."""
        chosen = self.settings.datasets[self.dataset].classes
        if chosen:
            return len(chosen)
        try:
            classes = self.folder / "results" / self.dataset / "class_indices.json"
            return len(json.loads(classes.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return CLASSES

    def share(self, shards: int) -> None:
        """Have the files of one of several shards only."""
        self.files, self.bytes = -(-self.files // shards), -(-self.bytes // shards)

    def shape(self, user: str) -> tuple[int, int, int]:
        """(height, width, channels) of a model's or a feature set's images."""
        return self.settings.view_of(self.dataset, user).shape

    def width(self, features: str) -> int:
        """Values of a row of a feature set: of a model, of one of its runs, or one by itself."""
        settings = self.settings
        name = features if features in settings.models else settings.network_of(features)
        if name is not None:
            model, shape = settings.models[name], self.shape(name)
            if model.backbone is not None:
                shape = embedding(shape, settings.features[model.backbone].pool)
            width = math.prod(shape)
            for layer, work in zip(model.layers, walk(model.layers, shape), strict=True):
                width = int(work.values)
                if model.features is not None and layer.name == model.features:
                    break
            return width
        kind, shape = settings.features[features].kind, self.shape(features)
        if kind == "pixels":
            return math.prod(shape)
        if kind == "hog":
            cell = max(1, min(8, *(side // 4 for side in shape[:2])))
            return 36 * math.prod(side // cell - 1 for side in shape[:2])
        return math.prod(embedding(shape, settings.features[features].pool))
