"""Darkroom: from a set of labelled images to trained classifiers and a report."""

__version__ = "0.1.0"
