"""Darkroom on a terminal: `run`, `predict MODEL IMAGE…`, `serve MODEL`, `export MODEL OUT`, `doctor`; as `darkroom` or `python -m darkroom`."""

from __future__ import annotations

import argparse
import io
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import UserError
from darkroom.machine.process import lock_no_arrays
from darkroom.names import visible
from darkroom.predict import command as predict
from darkroom.predict import export_command as export
from darkroom.serve import command as serve
from darkroom.workflow import run_command

HEALTH = "exit status: 0 when nothing stands in the way of a run, 1 when something does, 2 for a mistake in the command"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : words of the command line; None: those of this process.

    Returns
    -------
    The exit status, as `--help` tells it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):  # a terminal of ASCII has no – and no umlauts
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(prog="python -m darkroom", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run_command.add(commands)
    predict.add(commands)
    serve.add(commands)
    export.add(commands)
    _add_doctor(commands)
    # argparse would read the words that are Snakemake's
    snakemake = words[:1] == ["run"] and not {"-h", "--help"} & set(words)
    given = parser.parse_args(words[:1] if snakemake else words)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    warnings.simplefilter("ignore")  # words of libraries to those who program with them
    try:
        if snakemake:
            return run_command.run(words[1:])
        lock_no_arrays()
        parts = {"predict": predict.run, "serve": serve.run, "export": export.run}
        return {**parts, "doctor": _doctor}[given.command](given)
    except UserError as error:
        print(visible(str(error)), file=sys.stderr)
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

    from darkroom import ROOT
    from darkroom.workflow.doctor.examine import examine, show

    # An installed package has no rules beside it: the clone is then where one stands.
    root = ROOT if (ROOT / "Snakefile").is_file() else Path.cwd()
    if not (root / "Snakefile").is_file():
        raise UserError(
            "doctor looks at a clone of Darkroom: run it in the folder of its Snakefile"
        )
    values = {}
    for word in given.config:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"--config {word}: say it as KEY=VALUE")
        values[key] = yaml.safe_load(value)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def write(text: str) -> None:
        print(visible(text), end="", flush=True)

    problems = show(examine(given.configfile, values, root=root), write, width)
    word = "problem" if problems == 1 else "problems"
    print(f"{problems or 'no'} {word}")
    return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main())
