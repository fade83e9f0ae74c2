"""A history to draw, and the words of a figure that was drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from darkroom.report import drawing


def history(epochs: int = 5, validation: bool = True, kept: int = 0) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    table = pd.DataFrame({"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 0.5 / epoch})
    table["val_loss"] = 1.1 / epoch if validation else np.nan
    table["val_accuracy"] = 1 - 0.6 / epoch if validation else np.nan
    table["kept"] = (epoch == kept).astype(int)
    return table


def drawn(figure: Figure, path: Path) -> str:
    """The file that a figure gives, checked to be whole."""
    drawing.save(figure, str(path))
    if path.suffix == ".svg":
        ET.parse(path)
        return path.read_text(encoding="utf-8")
    with Image.open(path) as image:
        image.load()
    return ""


def words(svg: str) -> str:
    return " ".join(t.text or "" for t in ET.fromstring(svg).iter() if t.tag.endswith("}text"))
