"""Trained classifiers that several test modules ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained_chain(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Two classes in two folds, taken through every stage once; do not change its files."""
    from tests.support.small_chain import Chain

    chain = Chain(tmp_path_factory.mktemp("chain"), dataset={"split": {"folds": 2}})
    before = Path.cwd()
    os.chdir(chain.root)
    try:
        chain.run()
    finally:
        os.chdir(before)
    return chain


@pytest.fixture
def chain(trained_chain: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The same, as the current folder; threads of its own for what a test predicts."""
    monkeypatch.chdir(trained_chain.root)  # type: ignore[attr-defined]
    yield trained_chain
