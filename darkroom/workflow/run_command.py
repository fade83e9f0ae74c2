"""The command `run`: Snakemake, once its settings files can be read.

Snakemake reads these before the Snakefile, so nothing there can say what is wrong with them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import UserError

SUFFIXES = (".yaml", ".yml", ".json")
LAUNCH = "darkroom.workflow.launch"
TARGET = "if it is a target, put it before {}, which takes all words that follow"


def add(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "run",
        help="the workflow: snakemake, with all cores and settings files checked first",
        description="Runs snakemake --cores all with the words that follow, once the files after "
        "--configfile can be read: where one cannot, a sentence names its line.",
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="as snakemake takes them")


def run(words: Sequence[str]) -> int:
    """Check the settings files and become Snakemake.

    Parameters
    ----------
    words : of the command line, without the command's name.

    Raises
    ------
    UserError
        A settings file cannot be read; a word stands where settings are expected.
    """
    from darkroom.config.files import load  # with pydantic, which other commands do without

    for file in taken(words, "--configfile", "--configfiles"):
        if not Path(file).exists() and not file.endswith(SUFFIXES):
            raise UserError(
                f"{file}: there is no such settings file; {TARGET.format('--configfile')}"
            )
        load(file)
    for value in taken(words, "--config", "-C"):
        if "=" not in value:
            raise UserError(f"{value}: --config takes KEY=VALUE; {TARGET.format('--config')}")
        if (
            value.strip() == "data="
        ):  # of a shell's variable that is not set; Snakemake makes it None
            raise UserError("data= is empty: name a folder or an archive, or leave it out")
    os.execv(sys.executable, [sys.executable, "-m", LAUNCH, "--cores", "all", *words])


def taken(words: Sequence[str], *options: str) -> list[str]:
    """The words that an option takes: those up to the next option."""
    found: list[str] = []
    inside = False
    for word in words:
        if word.startswith("-"):
            name, _, value = word.partition("=")
            inside = name in options
            found += [value] if inside and value else []
        elif inside:
            found.append(word)
    return found
