"""The command `python -m darkroom export`."""

from __future__ import annotations

import argparse
from typing import Any

HELP = """results/DATASET (the best of it), a network's folder in results, or its model.onnx"""


def add(commands: Any) -> None:
    """Add the command and its arguments to those of a parser."""
    command = commands.add_parser(
        "export",
        help="a folder that predicts elsewhere",
        description="Write a trained network, the code that decodes for it and a check as a folder "
        "that needs ONNX Runtime, NumPy, OpenCV and Pillow alone.",
    )
    command.add_argument("model", metavar="MODEL", help=HELP)
    command.add_argument("output", metavar="OUT", help="the folder to write; it must not exist")


def run(given: argparse.Namespace) -> int:
    """Export a model; returns the exit status."""
    from darkroom.predict.export import export

    export(given.model, given.output)
    print(f"{given.output} is written. That it predicts as here: python {given.output}/check.py")
    return 0
