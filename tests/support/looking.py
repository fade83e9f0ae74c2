"""A made-up model that looks at one corner, in place of the one that the results name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from darkroom.models import trained
from darkroom.models.trained import Opened
from tests.support.report_folder import Folder


class Corner:
    """The more the upper left corner varies, the more probable is every class."""

    name = "cnn-seed0/svm"

    def __init__(self, folder: Folder) -> None:
        self.view = {"size": folder.plan.size[0]}
        self.classes = len(folder.plan.classes)

    def multiplications(self, _pixels: int) -> float:
        return 1e4

    def open(self, _threads: int) -> Opened:
        def both(pixels: np.ndarray) -> tuple[np.ndarray, None]:
            third = pixels.shape[1] // 3
            spread = pixels[:, :third, :third].std(axis=(1, 2, 3))[:, None] / 128
            return np.repeat(spread, self.classes, axis=1).astype(np.float32), None

        return Opened(both)


def arguments(folder: Folder, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `write_report` takes for heat maps by `Corner`, and for the map."""
    patch.setattr(trained, "find", lambda _path: Corner(folder))
    plan = folder.plan
    runs = [
        trained.file_of(str(folder.results), fold, f"{model}-seed{seed}", classifier)
        for fold in folder.fold_names
        for model in plan.models
        for seed in plan.seeds
        for classifier in plan.skill
    ]
    return {"models": runs, "views": [folder.path("images/view.h5")], "features": folder.features()}
