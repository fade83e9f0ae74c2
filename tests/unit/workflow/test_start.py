"""What happens when the Snakefile is read."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import InputFunctionException, MissingRuleException, WorkflowError
from snakemake.iocontainers import Wildcards

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.machine import process
from darkroom.workflow import start
from darkroom.workflow.calls import in_words

ENGINE: Any = SimpleNamespace(targets=["all", "report"], files=["results/{dataset}/report.html"])


def test_jobs_find_the_project_and_their_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv(process.PARENT, "")
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "")
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING")
    for _ in range(2):
        start.export_to_jobs("/project")
    assert os.environ["PYTHONPATH"].split(os.pathsep) == ["/project", "/elsewhere"]
    assert os.environ[process.PARENT] == str(os.getpid())
    assert os.environ["HDF5_USE_FILE_LOCKING"] == "FALSE"


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What Snakemake's logger says, by the filter."""
    log, lines = logging.getLogger("snakemake.logging"), []  # type: ignore[var-annotated]
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    before = log.filters[:], log.propagate
    log.addHandler(handler)
    log.propagate = False
    start.refusals_in_words(ENGINE)
    yield lines
    log.filters[:], log.propagate = before
    log.removeHandler(handler)


def test_a_mistake_found_by_a_function_of_a_rule_is_its_sentence() -> None:
    @in_words
    def wrong() -> None:
        raise UserError("source x: the folder holds no files\nand a line")

    rule = SimpleNamespace(workflow=SimpleNamespace(linemaps={}), name="r", lineno=1, snakefile="S")
    try:
        wrong()
    except WorkflowError as raised:
        error = InputFunctionException(raised, wildcards=Wildcards(fromdict={"d": "x"}), rule=rule)
    # Snakemake stores it and raises it again, so that its context is lost
    assert error.__context__ is None
    assert start.sentence(error, ENGINE) == "source x: the folder holds no files\nand a line"
    assert start.sentence(ValueError("a defect"), ENGINE) is None


def test_a_misspelt_target_is_told_with_the_targets() -> None:
    def told(target: str) -> str | None:
        return start.sentence(MissingRuleException(target), ENGINE)

    assert told("repor") == "there is no target repor; did you mean 'report'?; targets: all, report"
    assert told("results/pets/reprt.html") == (
        "there is no target results/pets/reprt.html; did you mean 'results/{dataset}/report.html'?;"
        " targets: all, report"
    )
    assert told("xyz") == (
        "there is no target xyz; known: all, report, results/{dataset}/report.html"
    )


def test_a_stopped_run_is_one_sentence(said: list[str]) -> None:
    log = logging.getLogger("snakemake.logging")
    log.error("before")
    log.error("Terminating processes on user request, this might take some time.")
    log.error("RuleException: CalledProcessError")
    assert said == ["before", "stopped; run the same command to go on"]
    assert start.sentence(KeyboardInterrupt(), ENGINE) == said[-1]
    try:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("Cannot close a running event loop")
    except RuntimeError as error:
        assert start.sentence(error, ENGINE) == said[-1]


def test_what_a_terminal_would_obey_is_escaped(
    said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        raise UserError("no \x1b]0;mine\x07 and \u202e")
    except UserError:
        logging.getLogger("snakemake.logging").error("anything")
    assert said == ["no \\x1b]0;mine\\x07 and \\u202e"]
    start.say("\x9b31m")
    assert capsys.readouterr().err == "\\x9b31m\n"


def test_what_the_snakefile_imports_loads_nothing_that_takes_long() -> None:
    """Each job of a cluster reads the Snakefile too."""
    lines = re.findall(
        r"^from darkroom\S* import .*", (ROOT / "rules/common.smk").read_text(), re.M
    )
    assert len(lines) > 5
    slow = {"numpy", "pandas", "pyarrow", "h5py", "cv2", "PIL", "requests", "keras", "tensorflow",
            "onnx", "onnxruntime", "sklearn", "django"}  # fmt: skip
    code = "\n".join(["import sys", *lines, f"print({slow!r} & set(sys.modules))"])
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "set()"
