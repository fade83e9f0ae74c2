"""Snakemake as `python -m darkroom run` starts it: `python -m snakemake` without its first words.

They say which profile and which settings it has read; VERBOSE=1 shows them. Ctrl-C before the workflow
is read ends in a sentence, where Snakemake ends in a traceback.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from darkroom.machine.stage import verbose
from darkroom.workflow.terminal import STOPPED

PROFILE = "for setting default command line arguments."
MERGED = "by additional config specified via the command line."


def snakemake(words: Sequence[str]) -> int:
    """Run Snakemake.

    Parameters
    ----------
    words : of its command line.

    Returns
    -------
    The exit status.
    """
    if not verbose():
        logging.getLogger("snakemake.logging").addFilter(without_merging)
    try:
        return _run(words)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130


def without_merging(record: logging.LogRecord) -> bool:
    """Whether Snakemake says something else than that settings were merged."""
    return MERGED not in str(record.msg)


def _run(words: Sequence[str]) -> int:
    """What `snakemake.cli.main` does, whose first line is printed and has no setting."""
    from snakemake import cli  # most of a second, in which Ctrl-C may come
    from snakemake.exceptions import print_exception

    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            parser, args = cli.parse_args(list(words))
    except Exception as error:
        print_exception(error)
        return 1
    finally:
        for line in printed.getvalue().splitlines():
            if verbose() or not line.endswith(PROFILE):
                print(line, file=sys.stderr)
    try:
        Path(args.directory or ".").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(
            f"--directory {args.directory}: no such folder can be made: {error.strerror}",
            file=sys.stderr,
        )
        return 1
    try:
        return 0 if cli.args_to_api(args, parser) else 1
    except Exception as error:
        print_exception(error)
        return 1


if __name__ == "__main__":
    sys.exit(snakemake(sys.argv[1:]))
