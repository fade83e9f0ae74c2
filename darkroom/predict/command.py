"""The command `python -m darkroom predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.sources.folders import printable

if TYPE_CHECKING:
    from darkroom.predict.picture import Prediction
    from darkroom.predict.trained import Trained
    from darkroom.predict.unseen import Pictures

MOST_THREADS = 8
OTHERS = 4  # classes that are named beside the predicted one
WIDEST = 60  # characters of a file's name that the table makes room for
FEW = 200  # pictures, from which on a bar shows how far it is

MODEL = """model.onnx (wherever it is), model.skops (in its place in results), the folder of
either, or results/DATASET: the best of that data set by its validation images, with folds the
mean of all folds' models"""
STATUS = """exit status: 0 when every picture was predicted, 1 when some cannot be used (each is
listed with its reason), 2 for a mistake in the command"""


def add(commands: Any) -> None:
    """Add the command and its arguments to those of a parser."""
    command = commands.add_parser(
        "predict",
        help="classes of pictures by a trained model",
        description="Print the class of each picture, its probability and those of the others.",
        epilog=STATUS,
    )
    command.add_argument("model", metavar="MODEL", help=MODEL)
    command.add_argument("images", metavar="IMAGE", nargs="+", help="a picture, or a folder")
    command.add_argument(
        "--csv", action="store_true", help="print CSV with every class's probability"
    )
    command.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="two classes: predict the second from this probability on "
        "(unset: the run's own from thresholds.parquet, else 0.5)",
    )


def run(given: argparse.Namespace) -> int:
    """Predict pictures and print what comes out; returns the exit status."""
    from darkroom.machine import hardware
    from darkroom.machine.progress import progress
    from darkroom.predict import beside, picture, trained

    model = trained.find(given.model)
    threshold, how = given.threshold, ""
    if threshold is None:
        threshold, how = beside.threshold_beside(model)
    picture.check_threshold(model, threshold, "--threshold")
    found = pictures(given.images)
    meaning = picture.in_words(model, threshold, how)
    print(printable(f"{picture.in_full(model)} of {model.dataset}; {meaning}"), file=sys.stderr)
    show = picture.Table(sys.stdout, model).write if given.csv else _Lines(model, found).write
    # the table itself tells on a terminal how far it is
    quiet = sys.stdout.isatty() or len(found.paths) < FEW
    unusable = 0
    with nullcontext() if quiet else progress("predicting", len(found.paths), "pictures") as bar:
        for one in picture.predict(
            model,
            found,
            threshold=threshold,
            threads=min(MOST_THREADS, hardware.cores()),
        ):
            show(one)
            unusable += not one.predicted
            if bar is not None:
                bar.update(1)
    sys.stdout.flush()
    return int(unusable > 0)


def pictures(images: Sequence[str]) -> Pictures:
    """Pictures by the names that they are given by, folders opened; one that is missing is listed."""
    from darkroom.predict import unseen

    paths: list[str] = []
    for image in images:
        if Path(image).is_dir():
            paths += [f"{image.rstrip('/')}/{path}" for path in unseen.find(image).paths]
        else:
            paths.append(image)
    return unseen.Pictures("", paths, [])


class _Lines:
    """Predictions as a table for a person: file, class, its probability, those of the others."""

    def __init__(self, model: Trained, found: Pictures) -> None:
        self.model = model
        self.file = min(WIDEST, max(len(printable(path)) for path in (*found.paths, "file")))
        self.name = max(len(printable(name)) for name in (*model.classes, "class"))
        print(f"{'file':<{self.file}}  {'class':<{self.name}}  probability  others")

    def write(self, one: Prediction) -> None:
        """Print the line of a picture."""
        front = f"{one.file:<{self.file}}"
        if not one.predicted:
            reason = printable(one.reason)
            print(f"{front}  {'–':<{self.name}}  {'–':>11}  unusable: {reason}")
            return
        known = dict(zip(self.model.classes, one.probabilities.tolist(), strict=True))
        own = known.pop(one.predicted)
        likely = sorted(known, key=lambda name: -known[name])
        others = [f"{name} {known[name]:.3f}" for name in likely[:OTHERS]]
        more = ", …" if len(likely) > OTHERS else ""
        name, rest = printable(one.predicted), printable(", ".join(others))
        rest = f"unlike anything it learned from; {rest}" if one.unlike else rest
        print(f"{front}  {name:<{self.name}}  {own:>11.3f}  {rest}{more}")
