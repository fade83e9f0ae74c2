"""The digits workflow through `--workflow-profile profiles/slurm`, on a Slurm of one node."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.slurm import cluster as slurm
from tests.support.workspace import Workspace, make_workspace

# Snakemake itself, but that it looks after its jobs each second: Slurm's plugin waits ten seconds longer after each look.
SNAKEMAKE = """
import asyncio
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
async def sleep(self): await asyncio.sleep(1)
RemoteExecutor.sleep = sleep
from snakemake.cli import main
main()
"""
PROFILE = ("--workflow-profile", "profiles/slurm")
YOURS = {
    "DARKROOM_ACCOUNT": slurm.ACCOUNT,
    "DARKROOM_PARTITION": "cpu",
    "DARKROOM_GPU_PARTITION": "gpu",
    "DARKROOM_SCHEDULER": "slurm",
}
SMALL: dict[str, Any] = {
    "run": {"datasets": ["digits"], "models": ["cnn"], "classifiers": ["forest"]},
    "datasets": {"parts": {"source": "bundled:digits", "view": {"size": 12, "color": "gray"},
                           "shards": 2}},
    "models": {"cnn": {"seeds": [0, 1], "epochs": 6}},
    "classifiers": {"forest": {"kind": "random_forest", "settings": {"n_estimators": 9}}},
}  # fmt: skip
PARTS = "results/parts/images/12x12-gray-squash.h5"  # of a data set that no `run` names
PATIENCE = 600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        skip = pytest.mark.skip(reason="no plugin for Slurm: make slurm-test")
        for item in items:
            if Path(item.fspath).parent == Path(__file__).parent:
                item.add_marker(skip)


class Job(NamedTuple):
    """A job as Slurm recorded it."""

    number: str
    comment: str  # the plugin writes rule and wildcards there
    memory: int  # MB asked for
    minutes: int
    cpus: int
    tres: str
    partition: str
    account: str
    state: str


@dataclass
class OnCluster:
    """A workspace whose jobs go to a cluster."""

    workspace: Workspace
    cluster: slurm.Cluster

    @property
    def root(self) -> Path:
        return self.workspace.root

    def start(self, *arguments: str, profile: tuple[str, ...] = PROFILE) -> Run:
        """Start Snakemake, in a process group of its own."""
        command = self.workspace.command(*profile, *arguments)
        command[1:3] = ["-c", SNAKEMAKE]
        cores = command.index("--cores")
        del command[cores : cores + 2]
        log = (self.root / "terminal.log").open("w+")
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.workspace.environment() | self.cluster.environment | YOURS | {"VERBOSE": "1"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=slurm.die_with_parent,
        )  # fmt: skip
        return Run(self, process)

    def run(self, *arguments: str, profile: tuple[str, ...] = PROFILE) -> str:
        """Run to a good end; returns what was printed."""
        return self.start(*arguments, profile=profile).finished()

    def jobs(self, what: str = "") -> list[Job]:
        """Jobs in the order of their submission, those with some words in rule and wildcards."""
        columns = "JobID,Comment,ReqMem,TimelimitRaw,AllocCPUS,AllocTRES,Partition,Account,State"
        told = self.cluster.said("sacct", "-n", "-P", "-X", "-a", f"--format={columns}")
        found = []
        for line in told.splitlines():
            number, comment, memory, minutes, cpus, tres, partition, account, state = line.split(
                "|"
            )
            if what in comment:
                megabytes = float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]]
                where = (tres, partition, account, state.split()[0])
                found.append(
                    Job(number, comment, round(megabytes), int(minutes), int(cpus), *where)
                )
        return found

    def running(self, what: str) -> str | None:
        """Number of a job that runs now."""
        for line in self.cluster.said("squeue", "-h", "-t", "RUNNING", "-o", "%i|%k").splitlines():
            number, comment = line.split("|", 1)
            if what in comment:
                return number
        return None


@dataclass
class Run:
    """A running Snakemake."""

    at: OnCluster
    process: subprocess.Popen[bytes]

    @property
    def printed(self) -> str:
        return (self.at.root / "terminal.log").read_text()

    def until(self, ready: Callable[[], Any], what: str) -> Any:
        """Wait for something to become true while the run lives."""
        deadline = time.monotonic() + PATIENCE
        while not (found := ready()):
            assert self.process.poll() is None, f"ended before {what}:\n{self.printed}"
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.printed}"
            time.sleep(0.3)
        return found

    def ended(self) -> tuple[int, str]:
        """Status and what was printed."""
        try:
            return self.process.wait(2 * PATIENCE), self.printed
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"does not end:\n{self.printed}") from None

    def finished(self) -> str:
        status, printed = self.ended()
        assert status == 0, f"{printed}\n{self.at.cluster.logs()}"
        return printed

    def kill(self) -> None:
        """SIGKILL to Snakemake and its local jobs, as when a login node goes down."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def processes(job: str, script: str) -> list[int]:
    """Processes of one of Slurm's jobs that run a script of ours."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                mine = f"SLURM_JOB_ID={job}".encode() in (place / "environ").read_bytes().split(
                    b"\0"
                )
                if mine and f".{script}.py".encode() in (place / "cmdline").read_bytes():
                    found.append(int(place.name))
    return found


@pytest.fixture(scope="session")
def cluster() -> Iterator[slurm.Cluster]:
    with slurm.running() as made:
        yield made


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} no longer says {old!r}: bring the test up to date"
    path.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="session")
def digits(cluster: slurm.Cluster, tmp_path_factory: pytest.TempPathFactory) -> OnCluster:
    """The project with a small digits run, nothing run yet.

    The forecast for what runs the first network is too low on purpose.
    """
    made = make_workspace(tmp_path_factory.mktemp("digits"))
    made.config = SMALL
    edit(made.root / "darkroom/workflow/needs.py",
         "(memory, start), works = _running(job), list[Work]()",
         "(memory, start), works = _running(job), list[Work]()\n"
         "    memory *= job.wildcards['seed'] != '0'")  # fmt: skip
    return OnCluster(made, cluster)


__all__ = ["PARTS", "OnCluster", "cluster", "digits", "processes"]
