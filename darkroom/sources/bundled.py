"""The bundled data set: scikit-learn's digits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from darkroom.machine import disk
from darkroom.sources.unpack import Unpacked


def write_digits(target: Path) -> tuple[Unpacked, dict[str, Any]]:
    """Write scikit-learn's digits as PNG class folders: 8×8 grey, 0..16 stretched to 0..255.

    The test part of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998, doi:10.24432/C50P49; a file's name is its number there.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    size = 0
    with disk.full_disk_in_words(str(target.parent)):
        for label in digits.target_names:
            (target / str(label)).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
            path = target / str(label) / f"{number:04d}.png"
            Image.fromarray(image).save(path)
            size += path.stat().st_size
    digest = hashlib.sha256(pixels.tobytes() + digits.target.astype("<i8").tobytes())
    record = {
        "version": "1998-07-01",
        "sha256": digest.hexdigest(),
        "license": "CC BY 4.0, Alpaydin and Kaynak (1998), doi:10.24432/C50P49",
    }
    return Unpacked(len(pixels), size, {}), record
