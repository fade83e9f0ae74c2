"""The command `python -m darkroom predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.sources.folders import printable

if TYPE_CHECKING:
    from darkroom.models.trained import Trained
    from darkroom.predict.labelled import Labels
    from darkroom.predict.picture import Prediction
    from darkroom.predict.unseen import Pictures

MOST_THREADS = 8
OTHERS = 4  # classes that are named beside the predicted one
WIDEST = 60  # characters of a file's name that the table makes room for
COLUMNS = ("path_column", "label_column", "group_column")
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
        "--out",
        metavar="FOLDER",
        help="write predictions.csv here, and of labelled pictures external.csv and external.html",
    )
    labels = command.add_argument_group(
        "labelled pictures",
        "A folder whose folders are called like the model's classes is an external test: its scores "
        "stand beside those of the model's own test images.",
    )
    labels.add_argument("--labels", metavar="CSV", help="a table of paths and classes instead")
    for column in COLUMNS:
        labels.add_argument(
            "--" + column.replace("_", "-"), metavar="NAME", help="of the table; unset: recognised"
        )
    labels.add_argument(
        "--group",
        metavar="EXPRESSION",
        help="regular expression on the path: its group 1 is what a picture belongs to (a patient)",
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
    from darkroom.models import beside, trained
    from darkroom.predict import picture

    model = trained.find(given.model)
    threshold, how = given.threshold, ""
    if threshold is None:
        threshold, how = beside.threshold_beside(model)
    picture.check_threshold(model, threshold, "--threshold")
    found = pictures(given.images)
    labelled = _labels(given, model)
    truth = _truth(found, model, labelled)
    meaning = picture.in_words(model, threshold, how)
    print(printable(f"{picture.in_full(model)} of {model.dataset}; {meaning}"), file=sys.stderr)
    threads = min(MOST_THREADS, hardware.cores())
    unusable, known = 0, []
    with ExitStack() as stack:
        show: list[Callable[[Prediction], None]] = [
            picture.Table(sys.stdout, model, truth).write
            if given.csv
            else _Lines(model, found, truth).write
        ]
        if given.out is not None:
            show.append(_table_in(Path(given.out), stack, model, truth))
        # the table itself tells on a terminal how far it is
        quiet = sys.stdout.isatty() or len(found.paths) < FEW
        bar = stack.enter_context(
            nullcontext() if quiet else progress("predicting", len(found.paths), "pictures")
        )
        for one in picture.predict(model, found, threshold=threshold, threads=threads):
            for write in show:
                write(one)
            known += [one] if labelled else []
            unusable += not one.predicted
            if bar is not None:
                bar.update(1)
    if labelled:
        _score(given, model, labelled, known, threshold, threads)
    sys.stdout.flush()
    return int(unusable > 0)


def _labels(given: argparse.Namespace, model: Trained) -> tuple[Pictures, Labels] | None:
    """The labels of a folder, as far as it has some; None without any.

    Raises
    ------
    UserError
        They are asked for, and there are none.
    """
    from darkroom.errors import UserError
    from darkroom.predict import labelled, unseen

    columns = {name: getattr(given, name) for name in COLUMNS}
    if given.labels is None and (unread := [name for name in COLUMNS if columns[name]]):
        raise UserError(f"--{unread[0].replace('_', '-')} is of a table: give it by --labels")
    if len(given.images) != 1 or not Path(given.images[0]).is_dir():
        if given.labels or given.group:
            raise UserError("--labels and --group go with one folder of pictures")
        return None
    found = unseen.find(given.images[0])
    if given.labels:
        return found, labelled.by_table(found, model.classes, given.labels, columns, given.group)
    labels = labelled.by_folders(found, model.classes, given.group)
    if isinstance(labels, str):
        if labels:
            print(printable(labels), file=sys.stderr)
        if given.group:
            raise UserError(
                "--group goes with labelled pictures, and none is in a folder that is called like a class "
                f"of the model ({', '.join(model.classes[:8])})"
            )
        return None
    return found, labels


def _truth(
    found: Pictures, model: Trained, labelled: tuple[Pictures, Labels] | None
) -> dict[str, str] | None:
    """The class of each picture by its name in the tables; empty where it is not known."""
    if labelled is None:
        return None
    names = ["" if k is None else model.classes[k] for k in labelled[1].code]
    return dict(zip(map(printable, found.paths), names, strict=True))


def _table_in(
    folder: Path, stack: ExitStack, model: Trained, truth: dict[str, str] | None
) -> Callable[[Prediction], None]:
    """What writes a line of `predictions.csv` in a folder."""
    from darkroom.machine import disk
    from darkroom.predict import picture

    folder.mkdir(parents=True, exist_ok=True)
    part = stack.enter_context(disk.whole(folder / "predictions.csv"))
    file = stack.enter_context(part.open("w", newline="", encoding="utf-8"))
    return picture.Table(file, model, truth).write


def _score(
    given: argparse.Namespace,
    model: Trained,
    labelled: tuple[Pictures, Labels],
    known: Sequence[Prediction],
    threshold: float,
    threads: int,
) -> None:
    """Print the scores of labelled pictures, and write them where a folder is given."""
    from darkroom.predict import external, external_page

    found, labels = labelled
    test = external.external(model, found, labels, known, threshold=threshold, threads=threads)
    if test is None:
        return
    out = sys.stderr if given.csv else sys.stdout
    print("", *map(printable, external_page.lines(test)), sep="\n", file=out)
    if given.out is not None:
        external_page.write(test, Path(given.out))
        print(printable(f"written to {Path(given.out) / 'external.html'}"), file=sys.stderr)


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

    def __init__(self, model: Trained, found: Pictures, truth: dict[str, str] | None) -> None:
        self.model, self.truth = model, truth or {}
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
        if (truth := self.truth.get(one.file)) and truth != one.predicted:
            rest = f"wrong: it is {printable(truth)}; {rest}"
        print(f"{front}  {name:<{self.name}}  {own:>11.3f}  {rest}{more}")
