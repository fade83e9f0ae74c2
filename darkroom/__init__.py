"""Darkroom: from a set of labelled images to trained classifiers and a report."""

from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: rules, scripts and environments lie there beside this package."""
