"""Cards: which there are, and that no two jobs take the same one, by real processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.machine import gpus
from tests.support import fake_gpus
from tests.support.waiting import PATIENCE

A, B, C = "GPU-aaaa1111", "GPU-bbbb2222", "GPU-cccc3333"
VISIBLE = (*gpus.ALLOCATED, "SLURM_JOB_ID", "CUDA_DEVICE_ORDER",
           "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_MEM_FRACTION")  # fmt: skip


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without GPUs, locks of its own, and an environment that is put back."""
    for name in VISIBLE:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(gpus, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr(gpus, "AMD_NODES", tmp_path / "nodes")
    monkeypatch.setattr(gpus, "LOCKS", tmp_path)
    return tmp_path


def install(machine: Path, names: list[str], **more: dict[int, list[str]]) -> None:
    fake_gpus.install(machine / "bin", names, **more)


def names() -> list[str]:
    return [gpu.name for gpu in gpus.found()]


# ---------------------------------------------------------------- which there are


def test_no_gpu_where_nothing_says_so() -> None:
    assert gpus.found() == []
    assert not gpus.likely()


def test_gpus_of_nvidia_smi(machine: Path) -> None:
    install(machine, [A, B])
    assert gpus.found() == [
        gpus.Gpu(A, A, "NVIDIA Pretended-0"),
        gpus.Gpu(B, B, "NVIDIA Pretended-1"),
    ]
    assert gpus.likely()
    assert gpus.memory(gpus.found()) == [40960, 40960]


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [("1,0", [B, A]), ("1", [B]), ("GPU-cc", [C]), (f"{B},2", [B, C]), ("", []), ("-1", []),
     ("NoDevFiles", []), ("0,-1,1", [A]), ("2,7,0", [C]), ("0,0", [A]), ("GPU-zz,0", [])],
)  # fmt: skip
def test_a_scheduler_chooses_among_them(
    machine: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, seen: list[str]
) -> None:
    install(machine, [A, B, C])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert names() == seen
    assert gpus.likely() == bool(seen)


def test_a_divided_gpu_is_its_parts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, [A, B], parts={0: ["MIG-1", "MIG-2"]})
    assert names() == ["MIG-1", "MIG-2", B]
    assert gpus.found()[1].model == "NVIDIA Pretended-0, MIG 1g.5gb"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-2")
    assert names() == ["MIG-2"]


def test_without_nvidia_smi_the_devices_are_counted(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine / "bin"))
    (machine / "dev").mkdir()
    for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (machine / "dev" / name).touch()
    assert gpus.likely()
    assert names() == ["2", "10"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "10")
    assert [c.key for c in gpus.found()] == ["nvidia-10"]


def test_gpus_of_a_job_that_cannot_be_told_apart_are_its_own(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm may call a different GPU 0 in each job: such jobs must not wait for each other."""
    monkeypatch.setenv("PATH", str(machine / "bin"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    keys = []
    for job in ("17", "18"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        keys.append(gpus.found()[0].key)
    assert keys == ["nvidia-job17-0", "nvidia-job18-0"]


def test_within_slurm_only_what_it_gave_counts(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(machine, [A])
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert not gpus.likely()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpus.likely()


def test_gpus_of_amd(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for node, number in (("0", "0"), ("1", "4711"), ("2", "4712"), ("10", "4720")):
        (machine / "nodes" / node).mkdir(parents=True)
        (machine / "nodes" / node / "gpu_id").write_text(f"{number}\n")
    assert [(c.name, c.key, c.maker) for c in gpus.found()] == [
        ("0", "amd-4711", "amd"), ("1", "amd-4712", "amd"), ("2", "amd-4720", "amd")]  # fmt: skip
    gpus.take(1)
    assert os.environ["HIP_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.delenv("HIP_VISIBLE_DEVICES")
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "2,1")
    assert [c.key for c in gpus.found()] == ["amd-4720", "amd-4712"]


# ---------------------------------------------------------------- what a job is told


def test_a_job_sees_its_gpu_alone(machine: Path) -> None:
    install(machine, [A, B])
    taken = gpus.take(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == A
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ
    assert taken.memory_share is None and [gpu.name for gpu in taken.taken] == names() == [A]


@pytest.mark.parametrize(
    ("jobs", "part", "told"), [(3, None, "0.3"), (2, 0.7, "0.7"), (1, 0.5, "0.5")]
)
def test_memory_of_a_shared_gpu(machine: Path, jobs: int, part: float | None, told: str) -> None:
    install(machine, [A])
    taken = gpus.take(1, jobs=jobs, memory_share=part)
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == told
    assert taken.memory_share == float(told)


def test_a_job_that_asks_for_none_sees_none(machine: Path) -> None:
    install(machine, [A])
    assert gpus.take(0) == gpus.NO_GPUS
    assert os.environ["CUDA_VISIBLE_DEVICES"] == os.environ["HIP_VISIBLE_DEVICES"] == "-1"
    assert names() == []


def test_more_gpus_than_there_are(machine: Path) -> None:
    install(machine, [A])
    with pytest.raises(UserError, match="asks for 2 GPUs and this machine has one GPU: NVIDIA"):
        gpus.take(2)


def test_where_no_gpu_can_be_listed_nothing_is_locked(machine: Path) -> None:
    taken = gpus.take(1, required=True)
    assert taken.taken == () and taken.count == 1 and taken.required
    assert not list(machine.glob("darkroom-*"))


@pytest.mark.parametrize("what", ["a link to a folder", "a link to nothing", "a file"])
def test_a_folder_of_locks_that_is_another_s(machine: Path, what: str) -> None:
    install(machine, [A])
    place = machine / f"darkroom-{os.getuid()}"
    if what == "a file":
        place.touch()
    else:
        place.symlink_to(machine / "elsewhere")
    if what == "a link to a folder":
        (machine / "elsewhere").mkdir()
    with pytest.raises(UserError, match="not yours; remove it"):
        gpus.take(1)


# ---------------------------------------------------------------- processes

JOB = """
import os, sys, time
from pathlib import Path
from darkroom.machine import gpus
from darkroom.workflow import code
gpus.LOCKS = Path(sys.argv[1])
count, jobs, child = map(int, sys.argv[2:])
gpus.take(count, jobs=jobs, every=0.05, say=lambda text: print(text, flush=True))
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
if child and (pid := os.fork()) == 0:
    sys.stdout = None
    os.close(1)
    time.sleep(600)
    os._exit(0)
if child:
    print(pid, flush=True)
sys.stdin.read()
"""


class Job:
    """A process that takes GPUs and keeps them until it is ended."""

    def __init__(self, machine: Path, count: int, jobs: int, child: bool) -> None:
        words = [str(machine), str(count), str(jobs), str(int(child))]
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB, *words], cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, f"no word within {PATIENCE} s"
        return self.process.stdout.readline().decode().strip()

    def silent(self, seconds: float = 0.6) -> bool:
        """Whether it says nothing for a while: ten of its looks at the locks."""
        assert self.process.stdout is not None
        return not select.select([self.process.stdout], [], [], seconds)[0]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def one_of(*jobs: Job) -> Job:
    """The one that has something to say first."""
    by_pipe = {job.process.stdout: job for job in jobs}
    ready, _, _ = select.select(list(by_pipe), [], [], PATIENCE)
    assert ready, f"no word within {PATIENCE} s"
    return by_pipe[ready[0]]


Start = Callable[..., Job]


@pytest.fixture
def start(machine: Path) -> Iterator[Start]:
    jobs: list[Job] = []

    def start(count: int = 1, *, jobs_a_card: int = 1, child: bool = False) -> Job:
        jobs.append(Job(machine, count, jobs_a_card, child))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()
        for pipe in (job.process.stdin, job.process.stdout):
            assert pipe is not None
            pipe.close()


def test_more_jobs_than_gpus_wait_and_a_killed_one_frees_its_gpu(
    machine: Path, start: Start
) -> None:
    install(machine, [A, B])
    first, second = start(), start()
    taken = {first.line(): first, second.line(): second}
    assert set(taken) == {A, B}
    third, fourth = start(), start()
    waiting = "waiting for a GPU: other jobs have what there is (2)"
    # one of the two looks at the GPUs, the other waits for its turn: both say so
    assert third.line() == fourth.line() == waiting
    assert third.silent() and fourth.silent()
    taken[B].kill()
    told, other = (third, fourth) if one_of(third, fourth) is third else (fourth, third)
    assert told.line() == B
    assert other.silent()
    taken[A].process.terminate()
    assert other.line() == A


def test_a_child_that_lives_on_does_not_keep_the_gpu(machine: Path, start: Start) -> None:
    install(machine, [A])
    holder = start(child=True)
    assert holder.line() == A
    child = int(holder.line())
    try:
        holder.kill()
        os.kill(child, 0)  # it is still there
        assert start().line() == A
    finally:
        os.kill(child, signal.SIGKILL)


def test_jobs_that_share_gpus_are_spread_over_them(machine: Path, start: Start) -> None:
    install(machine, [A, B])
    jobs = []
    for _ in range(4):
        jobs.append((start(jobs_a_card=2), ""))
        jobs[-1] = (jobs[-1][0], jobs[-1][0].line())
    assert [name for _, name in jobs] == [A, B, A, B]
    fifth = start(jobs_a_card=2)
    assert "waiting for a GPU" in fifth.line()
    jobs[2][0].kill()
    assert fifth.line() == A


def test_who_wants_a_gpu_alone_waits_for_those_who_share_it(machine: Path, start: Start) -> None:
    """Two runs with other settings: what one may share, the other still has alone."""
    install(machine, [A])
    one, two = start(jobs_a_card=3), start(jobs_a_card=2)
    assert one.line() == two.line() == A
    alone = start()
    assert "waiting" in alone.line()
    one.kill()
    assert alone.silent()
    two.kill()
    assert alone.line() == A
    late = start(jobs_a_card=3)
    assert "waiting" in late.line()
    alone.kill()
    assert late.line() == A


def test_a_job_of_two_gpus_is_not_passed_by(machine: Path, start: Start) -> None:
    """It holds none while it waits, and those who come later wait behind it."""
    install(machine, [A, B])
    holder = start()
    assert holder.line() == A
    both = start(2)
    assert both.line() == "waiting for 2 GPUs: other jobs have what there is (2)"
    late = start()
    assert "waiting" in late.line()
    holder.kill()
    assert both.line() == f"{A},{B}"
    assert late.silent()
    both.kill()
    assert late.line() == A


def test_only_the_gpus_of_an_allocation_are_waited_for(
    machine: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(machine, [A, B, C])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    inside = start()
    assert inside.line() == B
    assert "waiting" in start().line()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert start().line() == C
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert start().line() == A
