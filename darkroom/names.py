"""Names of runs, as they stand in paths and tables; names of others, safe to show."""

from __future__ import annotations

import re

HEAD = "head"  # the classifier that a network itself is
EMBEDDING = "embedding"  # the layer of a network that gives the features of its backbone
# Control characters but tab and line break, ends of lines and paragraphs, changes of direction.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def run_name(model: str, seed: int | str) -> str:
    """The feature set of a trained network, and its folder: `cnn-seed0`."""
    return f"{model}-seed{seed}"


def visible(text: str) -> str:
    """Text that a terminal only shows: what it would obey becomes `\\x1b`, `\\u202e`."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def cell(text: str) -> str:
    """A text in a CSV that no spreadsheet takes for a formula: one that begins like it gets a `'`."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
