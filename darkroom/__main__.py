"""Darkroom on a terminal: `python -m darkroom predict MODEL IMAGE…`, `python -m darkroom doctor`."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.errors import UserError
from darkroom.machine.process import lock_no_arrays
from darkroom.sources.folders import printable

if TYPE_CHECKING:
    from darkroom.predict.predict import Answer
    from darkroom.predict.trained import Trained
    from darkroom.predict.unseen import Pictures

MOST_THREADS = 8
OTHERS = 4  # classes that are named beside the predicted one
WIDEST = 60  # characters of a file's name that the table makes room for
FEW = 200  # pictures, from which on a bar tells how far it is

MODEL = """model.keras (wherever it is), model.skops (in its place in results), the folder of
either, or results/DATASET: the best of that data set by its validation images"""
HEALTH = "exit status: 0 when nothing stands in the way of a run, 1 when something does, 2 for a mistake in the command"
STATUS = """exit status: 0 when every picture was predicted, 1 when some cannot be used (each is
listed with its reason), 2 for a mistake in the command"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : words of the command line; None: those of this process.

    Returns
    -------
    The exit status, as `--help` tells it.
    """
    lock_no_arrays()
    parser = argparse.ArgumentParser(prog="python -m darkroom", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "predict",
        help="what a trained model says of pictures",
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
        help="two classes: say the second from this probability on "
        "(unset: the run's own from thresholds.parquet, else 0.5)",
    )
    command.add_argument(
        "--backend",
        choices=("tensorflow", "jax", "torch"),
        help="what a network runs on; a file runs on each, whichever trained it "
        "(unset: KERAS_BACKEND, else tensorflow)",
    )
    _add_doctor(commands)
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    warnings.simplefilter("ignore")  # words of libraries to those who program with them
    try:
        return _doctor(given) if given.command == "doctor" else _predict(given)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the table has seen enough: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="what will work here, and what to do about the rest",
        description="Look at settings, packages, GPUs, disks, network and profiles, and "
        "forecast time, memory and disk of a run.",
        epilog=HEALTH,
    )
    doctor.add_argument(
        "--configfile", metavar="FILE", nargs="+", default=[],
        help="settings on top of config.yaml, as snakemake takes them",
    )  # fmt: skip
    doctor.add_argument(
        "--config",
        metavar="KEY=VALUE",
        nargs="+",
        default=[],
        help="single settings on top of these",
    )


def _doctor(given: argparse.Namespace) -> int:
    import yaml

    from darkroom.workflow.doctor.examine import examine, show

    values = {}
    for word in given.config:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"--config {word}: say it as KEY=VALUE")
        values[key] = yaml.safe_load(value)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def write(text: str) -> None:
        print(text, end="", flush=True)

    problems = show(examine(given.configfile, values), write, width)
    word = "problem" if problems == 1 else "problems"
    print(f"{problems or 'no'} {word}")
    return int(problems > 0)


def _predict(given: argparse.Namespace) -> int:
    from darkroom.machine import hardware
    from darkroom.machine.progress import progress
    from darkroom.names import HEAD
    from darkroom.predict import predict, trained

    model = trained.find(given.model)
    threshold, how = given.threshold, ""
    if threshold is None:
        above = Path(model.files[0]).absolute().parents
        beside = above[min(2 if model.run.classifier == HEAD else 3, len(above) - 1)]
        threshold, how = trained.threshold(str(beside / "thresholds.parquet"), model) or (0.5, "")
    predict.check_threshold(model, threshold, "--threshold")
    found = _pictures(given.images)
    meaning = predict.in_words(model, threshold, how)
    print(f"{model.name} of {model.dataset}; {meaning}", file=sys.stderr)
    show = predict.Table(sys.stdout, model).write if given.csv else _Lines(model, found).write
    # the table itself tells on a terminal how far it is
    quiet = sys.stdout.isatty() or len(found.paths) < FEW
    unusable = 0
    with nullcontext() if quiet else progress("predicting", len(found.paths), "pictures") as bar:
        asked = {
            "threshold": threshold,
            "threads": min(MOST_THREADS, hardware.cores()),
            "backend": given.backend,
        }
        for answer in predict.answers(model, found, **asked):
            show(answer)
            unusable += not answer.predicted
            if bar is not None:
                bar.update(1)
    sys.stdout.flush()
    return int(unusable > 0)


def _pictures(images: Sequence[str]) -> Pictures:
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
    """Answers as a table for a person: file, class, its probability, those of the others."""

    def __init__(self, model: Trained, found: Pictures) -> None:

        self.model = model
        self.file = min(WIDEST, max(len(printable(path)) for path in (*found.paths, "file")))
        self.name = max(map(len, (*model.classes, "class")))
        print(f"{'file':<{self.file}}  {'class':<{self.name}}  probability  others")

    def write(self, answer: Answer) -> None:
        front = f"{answer.file:<{self.file}}"
        if not answer.predicted:
            print(f"{front}  {'–':<{self.name}}  {'–':>11}  unusable: {answer.reason}")
            return
        known = dict(zip(self.model.classes, answer.probabilities.tolist(), strict=True))
        own = known.pop(answer.predicted)
        likely = sorted(known, key=lambda name: -known[name])
        told = [f"{name} {known[name]:.3f}" for name in likely[:OTHERS]]
        more = ", …" if len(likely) > OTHERS else ""
        print(f"{front}  {answer.predicted:<{self.name}}  {own:>11.3f}  {', '.join(told)}{more}")


if __name__ == "__main__":
    sys.exit(main())
