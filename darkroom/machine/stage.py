"""What every script does around its one call: the log, the GPUs, and errors in a sentence.

A script imports its stage within `stage`: then Ctrl-C and what goes wrong are met there too.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.machine.gpus import NO_GPUS, Gpus, take
from darkroom.machine.process import die_with_parent
from darkroom.names import run_name, visible

log = logging.getLogger("darkroom")

# New objects from which on unreachable ones are looked for; Python's own 700 are a quarter of the
# time in which scikit-learn is imported.
SELDOM = 10_000


def name(snakemake: Any) -> str:
    """A job's name on the terminal, where several write at once: its rule and wildcards."""
    wildcards = dict(getattr(snakemake, "wildcards", {}).items())
    words = [str(value) for value in wildcards.values() if value != "holdout"]
    if "seed" in wildcards:
        words[-2:] = [run_name(wildcards["model"], wildcards["seed"])]
    return " ".join([snakemake.rule, *words])


class _Named(logging.Formatter):
    """`job: message`, without the words of the job where the message opens with them again."""

    def __init__(self, job: str) -> None:
        super().__init__("%(message)s")
        self.job = job

    def format(self, record: logging.LogRecord) -> str:
        text = visible(super().format(record))
        for word in self.job.split():
            text = text.removeprefix(f"{word}: ")
        return f"{self.job}: {text}"


class _Dated(logging.Formatter):
    """`time level module: message`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


class _LogFile(logging.FileHandler):
    """A log that a full disk stops: said once, where every line would bring a traceback."""

    stopped = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.stopped:
            self.stopped = True
            print(f"{self.baseFilename} cannot be written: {sys.exc_info()[1]}", file=sys.stderr)


def verbose() -> bool:
    """Whether the terminal shows all: VERBOSE is set, and not to 0."""
    return os.environ.get("VERBOSE", "0") not in ("", "0")


@contextmanager
def stage(snakemake: Any) -> Iterator[Gpus]:
    """Take a job's GPUs, log to the rule's file and, without details, to stderr, and end errors of the user's in one sentence.

    Parameters
    ----------
    snakemake : the object that Snakemake gives a script. Its first `log` is written, and as many
        GPUs are taken as its resource `gpu` says.

    Yields
    ------
    The GPUs of the job.

    Raises
    ------
    SystemExit
        Status 130 where the run is stopped by Ctrl-C; 1 after a `UserError`, or an error of the system that `disk.in_words` knows: a
        sentence stands in the log and on stderr.
    Exception
        Any other error, with its traceback in the log too, and what is known of the GPUs
        where they may be its cause.
    """
    die_with_parent()
    gc.set_threshold(SELDOM)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_Named(name(snakemake)))
    handlers[0].setLevel(logging.DEBUG if verbose() else logging.INFO)
    refused, gpus = None, NO_GPUS
    try:
        if snakemake.log:
            file = _LogFile(str(snakemake.log[0]), mode="w", encoding="utf-8")
            file.setFormatter(_Dated())
            handlers.append(file)
    except OSError as error:
        refused = disk.in_words(error) or str(error)
    log.handlers[:] = handlers
    log.setLevel(logging.DEBUG)
    # Of a failed job Snakemake shows no log that follows an empty one, such as a cluster's.
    words = (name(snakemake), socket.gethostname())
    began = log.makeRecord(log.name, logging.INFO, "", 0, "%s on %s", words, None)
    for handler in handlers[1:]:
        handler.handle(began)
    log.propagate = False
    logging.captureWarnings(True)
    warned = logging.getLogger("py.warnings")
    warned.handlers[:], warned.propagate = handlers[1:] or handlers, False
    try:
        if refused:
            raise UserError(refused)
        gpus = _take_gpus(snakemake)
        yield gpus
    except UserError as error:
        log.error("%s", error)
        sys.exit(1)
    except KeyboardInterrupt:  # Snakemake says that the run was stopped
        sys.exit(130)
    except Exception as error:
        said = disk.in_words(error, _folders(snakemake))
        if said is not None:
            log.error("%s", said)
            sys.exit(1)
        log.exception("%s failed", snakemake.rule)
        if gpus.count:
            from darkroom.machine import drivers  # only where it is needed: each job imports this

            explained = drivers.explain(error, gpus)
            if explained is not None:
                log.error("%s", explained)
        raise
    finally:
        gc.freeze()  # the process ends: none of its objects is looked at again
        for logger in (log, warned):
            logger.handlers.clear()
            logger.propagate = True
        for handler in handlers[1:]:
            with suppress(OSError):  # a full disk takes the last line no more than those before
                handler.close()


def _folders(snakemake: Any) -> list[str]:
    """Where a job writes: beside its outputs, and where libraries put what is in between."""
    outputs = [str(Path(str(path)).parent) for path in getattr(snakemake, "output", [])]
    return list(dict.fromkeys([*outputs, tempfile.gettempdir()]))


def _take_gpus(snakemake: Any) -> Gpus:
    """Take the GPUs of a rule that has the resource `gpu`.

    How is read from the configuration itself, not from the rule's params: which GPU a job runs
    on, and beside how many others, reruns nothing.
    """
    count = dict(getattr(snakemake, "resources", {}).items()).get("gpu")
    if count is None:
        return NO_GPUS
    settings = getattr(snakemake, "config", {})
    gpus = take(
        int(count),
        jobs=settings.get("jobs_per_gpu", 1),
        memory_share=settings.get("gpu_memory"),
        required=settings.get("gpus", "auto") != "auto",
        say=log.info,
    )
    for gpu in gpus.taken:
        log.info("on %s (%s)", gpu.model, gpu.name)
    return gpus
