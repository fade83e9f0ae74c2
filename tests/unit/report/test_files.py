"""The section of files."""

from __future__ import annotations

import pandas as pd

from darkroom.report import files


def test_reasons_are_counted_one_by_one() -> None:
    manifest = pd.DataFrame(
        {
            "status": ["converted", "converted", "converted", "unusable", "ok"],
            "reason": [
                "16-bit: 0..65,535 to 0..255; palette: converted to rgb",
                "3 frames: the first is taken",
                "7 frames: the first is taken; palette: converted to rgb",
                "truncated",
                "",
            ],
        }
    )
    assert files.conversions(manifest) == [
        ("palette: converted to rgb", 2),
        ("… frames: the first is taken", 2),
        ("16-bit: 0..65,535 to 0..255", 1),
    ]
