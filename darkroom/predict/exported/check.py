"""Compare the model of this folder with what it predicted when it was exported: `python check.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from predict import Model  # type: ignore[import-not-found]  # noqa: E402  (of this folder)

LIMIT = 1e-5  # rounding differs from one processor to another


def main() -> int:
    """Check each picture; returns the exit status."""
    model, wrong = Model(), 0
    expected = json.loads((HERE / "pictures/expected.json").read_text(encoding="utf-8"))
    for name, wanted in expected.items():
        found = model.probabilities((HERE / "pictures" / name).read_bytes())
        most = max(abs(found[key] - p) for key, p in wanted["probabilities"].items())
        same = model.predict((HERE / "pictures" / name).read_bytes()) == wanted["predicted"]
        wrong += most > LIMIT or not same
        print(
            f"{name}: {'the same' if same else 'ANOTHER'} class; probabilities differ by {most:.1g}"
        )
    print("the export predicts as it did" if not wrong else f"{wrong} of {len(expected)} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
