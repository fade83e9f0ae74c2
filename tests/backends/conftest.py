"""The same training on each backend, once for all tests here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom import ROOT
from tests.workflow.conftest import workspace

__all__ = ["workspace"]

BACKENDS = ("torch", "jax", "tensorflow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [name for name in BACKENDS if importlib.util.find_spec(name) is None]
    if missing:
        skip = pytest.mark.skip(reason=f"no {' and no '.join(missing)}: make test-backends")
        for item in items:
            if Path(item.fspath).parent == Path(__file__).parent:
                item.add_marker(skip)


def process(*words: str, **environment: str) -> str:
    """Run a module of Python; its output. An error shows what it said."""
    drop = ("KERAS_BACKEND", "XLA_FLAGS", "COV_", "NPROC")
    env = {k: v for k, v in os.environ.items() if not k.startswith(drop)} | environment
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session", params=["tensorflow", "jax"])
def ways(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The histories of one training, its steps taken in each way, on two pretended devices."""
    folder = tmp_path_factory.mktemp(f"ways-{request.param}")
    two = "--xla_force_host_platform_device_count=2"
    said = process("tests.backends.devices", request.param, str(folder), XLA_FLAGS=two)
    assert "up to 4 steps a call, pixels on the device" in said
    assert "going on after epoch 2 of 3" in said
    assert "2 devices share each batch" in said
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each backend; each has also asked the networks of those before it."""
    folder = tmp_path_factory.mktemp("backends")
    done: dict[str, Path] = {}
    for name in BACKENDS:
        others = [str(place / "same/model.keras") for place in done.values()]
        process("tests.backends.worker", name, str(folder / name), *others)
        done[name] = folder / name
    return done
