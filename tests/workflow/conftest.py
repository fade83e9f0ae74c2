"""Workspaces in which tests run Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.workspace import Workspace, make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A fresh workspace, nothing run yet."""
    return make_workspace(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose whole chain has run; tests undo what they change."""
    made = make_workspace(tmp_path_factory.mktemp("finished"))
    made.run(loaded=False)
    return made
