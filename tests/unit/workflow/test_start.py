"""What happens when the Snakefile is read."""

from __future__ import annotations

import os

import pytest

from darkroom.machine import process
from darkroom.workflow import start


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
