"""What every script does around its one call: the log, and words for a mistake."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from darkroom.errors import UserError
from darkroom.survival import die_with_parent

log = logging.getLogger("darkroom")

# Rules in the order of the data; benchmark files are named after them too.
STAGES = {
    "download_source": "download",
    "download_weights": "weights",
    "index_files": "index",
    "check_files": "check",
    "split_rows": "split",
    "prepare_images": "prepare",
    "augment_images": "augment",
    "embed_images": "embed",
    "try_model": "try",
    "try_classifier": "try",
    "choose_setting": "choose",
    "choose_classifier_setting": "choose",
    "train_model": "train",
    "extract_features": "features",
    "describe_images": "describe",
    "fit_classifier": "classify",
    "evaluate_dataset": "evaluate",
    "write_report": "report",
    "predict_images": "predict",
}


def name(snakemake: Any) -> str:
    """What a job is called on the terminal, where several write at once: its stage and wildcards."""
    asked = dict(getattr(snakemake, "wildcards", {}).items())
    words = [str(value) for key, value in asked.items() if value != "holdout"]
    if "seed" in asked:
        words[-2:] = [f"{asked['model']}-seed{asked['seed']}"]
    return " ".join([STAGES.get(snakemake.rule, snakemake.rule), *words])


class _Named(logging.Formatter):
    """`job: message`, without the words of the job where the message opens with them again."""

    def __init__(self, job: str) -> None:
        super().__init__("%(message)s")
        self.job = job

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for word in self.job.split():
            text = text.removeprefix(f"{word}: ")
        return f"{self.job}: {text}"


@contextmanager
def stage(snakemake: Any) -> Iterator[None]:
    """Log to the rule's file and to stderr; end a user's mistake in one sentence.

    Parameters
    ----------
    snakemake : the object that Snakemake gives a script; its first `log` is written.

    Raises
    ------
    SystemExit
        Status 1 after a `UserError`, whose sentence stands in the log and on stderr.
    Exception
        Any other error, with its traceback in the log too.
    """
    die_with_parent()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_Named(name(snakemake)))
    if snakemake.log:
        file = logging.FileHandler(str(snakemake.log[0]), mode="w", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    log.handlers[:] = handlers
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.captureWarnings(True)
    warned = logging.getLogger("py.warnings")
    warned.handlers[:], warned.propagate = handlers[1:] or handlers, False
    try:
        yield
    except UserError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception:
        log.exception("%s failed", snakemake.rule)
        raise
    finally:
        for logger in (log, warned):
            logger.handlers.clear()
            logger.propagate = True
        for handler in handlers[1:]:
            handler.close()
