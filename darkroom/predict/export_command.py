"""The command `python -m darkroom export`."""

from __future__ import annotations

import argparse
from typing import Any

RESULTS = """results/DATASET, or the folder or file of one model in it"""
MODEL = """cnn-seed0 (a network), cnn-seed0/svm (a classifier on its features), mobilenet/svm (on a
backbone's); unset: the best by the validation images"""


def add(commands: Any) -> None:
    """Add the command and its arguments to those of a parser."""
    command = commands.add_parser(
        "export",
        help="a folder that predicts elsewhere",
        description="Write a trained network or classifier, the code that decodes for it and a check "
        "as a folder that needs ONNX Runtime, NumPy, OpenCV and Pillow alone.",
    )
    command.add_argument("results", metavar="RESULTS", help=RESULTS)
    command.add_argument("model", metavar="MODEL", nargs="?", help=MODEL)
    command.add_argument(
        "--kind",
        choices=["onnx", "keras", "tflite", "all"],
        default="onnx",
        help="of a network also model.keras; LiteRT in float32 and int8; or both (%(default)s)",
    )
    command.add_argument("output", metavar="OUT", help="the folder to write; it must not exist")


def run(given: argparse.Namespace) -> int:
    """Export a model; returns the exit status."""
    from darkroom.predict.export import ToLite, export

    to_lite: ToLite | None = None
    if given.kind in ("tflite", "all"):
        from darkroom.predict import lite  # with TensorFlow

        to_lite = lite.write
    print(export(given.results, given.output, given.model, given.kind, to_lite))
    print(f"{given.output} is written. That it predicts as here: python {given.output}/check.py")
    return 0
