"""What the audit finds of planted shortcuts, and how often it warns of clean data.

    python -m benchmarks.audits

Two classes of textures that nothing tells apart; in all but the clean sets one thing differs by class.
The model beside it is taken to reach 0.9. Each line is printed as Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from darkroom.audit.audit import CHECKS
from darkroom.audit.probe import judge
from tests.support import planted

MODEL = 0.9
OF = {"size": "header", "format": "header", "quality": "header", "border": "border",
      "brightness": "color", "tag": "thumbnail", "source": "names"}  # fmt: skip


def warned(plant: str, n: int, seed: int) -> tuple[dict[str, str], float]:
    """The sentence of each check that warns of a data set, and the seconds that all took."""
    with tempfile.TemporaryDirectory() as folder:
        sample = planted.sample(Path(folder), plant, n=n, seed=seed)
        start, out = time.perf_counter(), {}
        for check in CHECKS:
            seen = check.find(sample)
            found = None if seen is None else judge(check, seen, sample)
            if found is not None and (sentence := check.summary(found, MODEL)):
                out[check.name] = sentence
        return out, time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20, help="data sets of each kind")
    parser.add_argument("--images", type=int, default=120, help="of each class")
    asked = parser.parse_args()
    print("| planted | found by its check | other warnings | seconds | in words |")
    print("|---|---|---|---|---|")
    for plant in planted.PLANTS:
        found, others, seconds, words = 0, 0, 0.0, ""
        for seed in range(asked.repeats):
            told, took = warned(plant, asked.images, seed)
            found += OF.get(plant) in told
            others += len(told.keys() - {OF.get(plant)})
            seconds += took / asked.repeats
            words = words or told.get(OF.get(plant, ""), "")
        hits = "–" if plant == "nothing" else f"{found} of {asked.repeats}"
        print(f"| {plant} | {hits} | {others} | {seconds:.1f} | {words} |", flush=True)


if __name__ == "__main__":
    main()
