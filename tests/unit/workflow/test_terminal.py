"""What a run shows of Snakemake's words."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from darkroom.workflow import terminal
from darkroom.workflow.terminal import Terminal


def record(words: str | None, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": words, "levelno": level, **extra})


def progress(done: int, total: int = 8) -> logging.LogRecord:
    return record(None, event="progress", done=done, total=total)


def test_work_is_quiet_and_a_failure_is_not() -> None:
    shown = Terminal(pytest.fail)
    for words in ("Select jobs to execute...", "Building DAG of jobs...", "Execute 2 jobs..."):
        assert not shown.filter(record(words))
    assert not shown.filter(record("Job stats: …", event="run_info"))
    assert shown.filter(record("Nothing to be done (all requested files are present)."))
    assert shown.filter(record("a warning", logging.WARNING))
    assert not shown.filter(record("Select jobs to execute..."))
    assert shown.filter(record("Error in rule train_model", logging.ERROR, event="job_error"))
    assert shown.filter(record("Complete log(s): …"))


def test_progress_now_and_then_and_at_the_end() -> None:
    now, said = [0.0], []
    shown = Terminal(said.append, lambda: now[0])
    for seconds, done in ((10.0, 1), (20.0, 2), (22.0, 3), (60.0, 7), (61.0, 8)):
        now[0] = seconds
        assert not shown.filter(progress(done))
    assert said == [
        "1 of 8 jobs done",
        "2 of 8 jobs done, about 60 s left",
        "7 of 8 jobs done, about 9 s left",
        "8 of 8 jobs done",
    ]


def test_it_is_put_on_the_terminal_and_not_on_the_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("snakemake.logging")
    screen, file = logging.Handler(), logging.Handler()
    screen.name, file.name = "DefaultStreamHandler", "DefaultLogFileHandler"
    monkeypatch.setattr(logger, "handlers", [screen, file])
    monkeypatch.setenv("VERBOSE", "1")
    terminal.quieten(print)
    assert not screen.filters
    monkeypatch.delenv("VERBOSE")
    terminal.quieten(print)
    assert [type(f) for f in screen.filters] == [Terminal] and not file.filters
