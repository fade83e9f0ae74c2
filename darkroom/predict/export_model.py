"""The stage that writes the best model of a data set as a folder that predicts elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypedDict

from darkroom.predict.export import export

log = logging.getLogger(__name__)


class ExportModel(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    dataset : its name.
    """

    dataset: str


def export_model(output: str, *, cfg: ExportModel) -> None:
    """Export the best model by the validation images, see `export`.

    Parameters
    ----------
    output : `results/{dataset}/export`, a folder; it must not exist.
    cfg : settings.

    Raises
    ------
    UserError
        As `export`: the best model has no form in ONNX.
    """
    said = export(str(Path(output).parent), output)
    log.info("%s: %s", cfg["dataset"], said)
