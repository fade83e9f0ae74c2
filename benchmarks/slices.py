"""How often a slice is called worse where none is, and how often where one is, in simulation.

Each test set has 600 images of three classes, of which the third is harder and brighter, so that its
images fill the slice of the bright ones. Looked at are thirds by brightness, by size and by
sharpness; in half of the kinds images are of 60 groups that differ, or of one large group and single
images.

    python -m benchmarks.slices
"""

from __future__ import annotations

import argparse

import numpy as np

from darkroom.evaluate.slices import slices

N = 600
KINDS = ("images alone", "60 groups that differ", "a group of 100, and images alone")


def looked(kind: str, missed: float, seed: int) -> list[str]:
    """The properties whose slices are called worse; of the dark images `missed` more are wrong."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 3, N)
    group = {
        KINDS[0]: np.arange(N),
        KINDS[1]: random.integers(0, 60, N),
        KINDS[2]: np.maximum(np.arange(N) - 99, 0),
    }[kind]
    luck = random.normal(0, 0.8 if kind == KINDS[1] else 0, N)[group]
    skill = np.array([2.5, 2.0, 0.5])[label] + luck
    right = random.random(N) < 1 / (1 + np.exp(-skill))
    bright = random.random(N) + label / 4
    right &= ~((bright < 0.5) & (random.random(N) < missed))
    of_group = random.random(N)[group]  # images of a group are alike
    size = (of_group + random.random(N)) if kind == KINDS[1] else random.random(N)
    properties = {"brightness": bright, "size": size, "sharpness": random.random(N)}
    found = slices(right.astype(float), label, group, [str(i) for i in range(N)], properties)
    return [one.by for one in found if one.worse]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="False and missed alarms of slices.")
    parser.add_argument("--repeats", type=int, default=400, help="test sets of each kind")
    repeats = parser.parse_args().repeats
    print("| test sets | any alarm on clean ones | 20 % of the dark missed: found | other alarms |")
    print("|---|--:|--:|--:|")
    for kind in KINDS:
        clean = np.mean([bool(looked(kind, 0, seed)) for seed in range(repeats)])
        planted = [looked(kind, 0.2, seed) for seed in range(repeats)]
        found = np.mean(["brightness" in one for one in planted])
        other = np.mean([any(by != "brightness" for by in one) for one in planted])
        print(f"| {kind} | {clean:.3f} | {found:.3f} | {other:.3f} |", flush=True)


if __name__ == "__main__":
    main()
