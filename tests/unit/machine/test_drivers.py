"""What a GPU needs: told by name, with what to do; and what a job says when its GPU fails."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.machine import drivers, gpus
from darkroom.machine.stage import stage
from tests.support import fake_gpus

A, B = "GPU-aaaa1111", "GPU-bbbb2222"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without GPU, driver and libraries."""
    for name in (*gpus.ALLOCATED, "CUDA_DEVICE_ORDER", "SLURM_JOB_ID", "KERAS_BACKEND",
                 "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_MEM_FRACTION"):  # fmt: skip
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in ("DEVICES", "AMD_NODES", "LOCKS"):
        monkeypatch.setattr(gpus, name, tmp_path / name)
    (tmp_path / "LOCKS").mkdir()
    monkeypatch.setattr(drivers, "PCI", tmp_path / "pci")
    monkeypatch.setattr(drivers, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(drivers, "library", lambda name: None)
    monkeypatch.setattr(drivers.ctypes, "CDLL", lambda name: None)
    return tmp_path


def levels(found: list[drivers.Finding]) -> list[str]:
    return [finding.level for finding in found]


def problems(found: list[drivers.Finding]) -> str:
    return "\n".join(finding.text for finding in found if finding.level == "problem")


# ---------------------------------------------------------------- what is there


def test_a_machine_without_a_gpu_is_well() -> None:
    found = drivers.findings("tensorflow")
    assert levels(found) == ["note", "note"]
    assert "no GPU in this machine" in found[0].text and "libcudnn.so.9" in found[1].text
    assert "no GPU in this machine" in problems(drivers.findings("tensorflow", wanted=True))


def test_missing_libraries_by_name_with_what_installs_them(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpus.install(machine / "bin", [A])
    there = dict.fromkeys(drivers.LIBRARIES[12], "/x")
    monkeypatch.setattr(drivers, "library", there.get)
    found = drivers.findings("tensorflow")
    assert levels(found) == ["ok", "ok", "ok"]
    assert "40960 MB" in found[0].text and "driver 570.86" in found[1].text
    del there["libcudnn.so.9"]
    told = problems(drivers.findings("tensorflow"))
    assert "libcudnn.so.9 (nvidia-cudnn-cu12)" in told and "libcublas" not in told
    assert "install 'tensorflow[and-cuda]==" in told


def test_libraries_are_looked_for_where_frameworks_do(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    inside = machine / "site" / "nvidia" / "cudnn" / "lib"
    inside.mkdir(parents=True)
    (inside / "libpretended.so.9").touch()
    assert drivers.library("libpretended.so.9") is None
    monkeypatch.syspath_prepend(str(machine / "site"))
    assert drivers.library("libpretended.so.9") == str(inside / "libpretended.so.9")
    (machine / "libother.so.1").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(machine))
    assert drivers.library("libother.so.1") == str(machine / "libother.so.1")
    assert drivers.library("libc.so.6") is not None


def test_an_old_driver(machine: Path) -> None:
    fake_gpus.install(machine / "bin", [A])
    (machine / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2\nGCC version: 12\n"
    )
    assert drivers.driver() == (470, 256)
    assert "the driver 470.256 is older than CUDA 12" in problems(drivers.findings("tensorflow"))


def test_a_driver_that_is_not_loaded(machine: Path) -> None:
    device = machine / "pci" / "0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")
    assert "its driver is not loaded" in problems(drivers.findings("tensorflow"))
    (device / "class").write_text("0x040300\n")  # its sound
    assert not problems(drivers.findings("tensorflow"))


def test_a_driver_that_was_updated_beneath_a_running_machine(machine: Path) -> None:
    program = machine / "bin" / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n"
    )
    program.chmod(0o755)
    told = problems(drivers.findings("tensorflow"))
    assert "Driver/library version mismatch" in told and "restart" in told


def test_hidden_gpus(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpus.install(machine / "bin", [A])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert "CUDA_VISIBLE_DEVICES='3' shows no GPU" in problems(
        drivers.findings("tensorflow", wanted=True)
    )


def test_devices_without_their_memory_device(machine: Path) -> None:
    (machine / "DEVICES").mkdir()
    (machine / "DEVICES" / "nvidia0").touch()
    assert "nvidia-modprobe -u" in problems(drivers.findings("tensorflow"))
    (machine / "DEVICES" / "nvidia-uvm").touch()
    assert "nvidia-modprobe" not in problems(drivers.findings("tensorflow"))


@pytest.mark.parametrize(
    ("text", "told"),
    [("__version__ = '2.8.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n",
      "PyTorch 2.8.0+cpu is built without CUDA"),
     ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", "missing for PyTorch 2.8.0+cpu (CUDA 12)"),
     ("cuda = '13.0'\n", "libcudart.so.13"),
     ("cuda: Optional[str] = None\nhip: Optional[str] = '6.4'\n", "")],
)  # fmt: skip
def test_builds_of_pytorch_are_read_not_imported(
    machine: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    fake_gpus.install(machine / "bin", [A])
    (machine / "site" / "torch").mkdir(parents=True)
    (machine / "site" / "torch" / "__init__.py").write_text("raise SystemExit('imported')")
    (machine / "site" / "torch" / "version.py").write_text(text)
    info = machine / "site" / "torch-2.8.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.8.0+cpu\n")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(machine / "site"))
    found = problems(drivers.findings("torch"))
    assert told in found if told else not found


def test_a_framework_is_asked_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(drivers.COUNT, "jax", "n = 2")
    assert drivers.ask("jax") == drivers.Finding("ok", "JAX sees 2 GPUs")
    failing = (
        "import sys; n = 0; print('2026-01-02 03:04:05.678901: E external/xla/cuda_driver.cc:152] "
        "failed call to cuInit: CUDA_ERROR_UNKNOWN', file=sys.stderr)"
    )
    monkeypatch.setitem(drivers.COUNT, "jax", failing)
    assert (
        drivers.ask("jax").text
        == "JAX sees no GPU, and says: failed call to cuInit: CUDA_ERROR_UNKNOWN"
    )
    monkeypatch.setitem(drivers.COUNT, "jax", "raise ImportError('libnothing.so')")
    assert drivers.ask("jax").text == "JAX cannot be started: ImportError: libnothing.so"
    monkeypatch.setitem(drivers.COUNT, "jax", "import time; time.sleep(60)")
    assert "did not answer" in drivers.ask("jax", limit=0.5).text


# ---------------------------------------------------------------- in a job


class Tensorflow(ModuleType):
    """What `settle` calls of TensorFlow, written down."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__("tensorflow")
        self.did: list[tuple[Any, ...]] = []
        self.config = SimpleNamespace(
            list_physical_devices=lambda kind: seen if kind == "GPU" else [],
            LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
            set_logical_device_configuration=lambda gpu, to: self.did.append((gpu, to)),
            experimental=SimpleNamespace(
                set_memory_growth=lambda gpu, on: self.did.append((gpu, on))
            ),
        )


def test_memory_grows_or_ends_at_its_part(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpus.install(machine / "bin", [A, B])
    tensorflow = Tensorflow(["gpu:0", "gpu:1"])
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    assert drivers.settle("tensorflow", gpus.take(2)) == 2
    assert tensorflow.did == [("gpu:0", True), ("gpu:1", True)]
    tensorflow.did.clear()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    drivers.settle("tensorflow", gpus.Gpus(1, True, 0.25, (gpus.Gpu(A, A, ""),)))
    assert tensorflow.did == [("gpu:0", [10240]), ("gpu:1", True)]


def test_memory_of_pytorch(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[tuple[float, int]] = []
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(  # type: ignore[attr-defined]
        device_count=lambda: 1,
        set_per_process_memory_fraction=lambda part, gpu: did.append((part, gpu)),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    fake_gpus.install(machine / "bin", [A])
    assert drivers.settle("torch", gpus.take(1, jobs=3)) == 1
    assert did == [(0.3, 0)]


def test_a_gpu_that_was_asked_for_by_number_and_is_not_seen(machine: Path) -> None:
    fake_gpus.install(machine / "bin", [A])
    taken = gpus.take(1, required=True)
    with pytest.raises(UserError) as told:
        drivers.check("jax", 0, taken)
    assert "this job asks for a GPU and JAX sees none" in str(told.value)
    assert "set `gpus: 0`" in str(told.value) and "Pretended-0" in str(told.value)


def test_a_gpu_that_was_found_by_itself_and_is_not_seen(
    machine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake_gpus.install(machine / "bin", [A, B])
    taken = gpus.take(2)
    with caplog.at_level(logging.WARNING):
        drivers.check("tensorflow", 2, taken)
        assert not caplog.text
        drivers.check("tensorflow", 1, taken)
    assert "asks for 2 GPUs and TensorFlow sees only 1: going on without" in caplog.text
    assert "libcudnn.so.9" in caplog.text


@pytest.mark.parametrize(
    ("error", "told"),
    [("cuDNN launch failure : input shape", "libcudnn.so.9"),
     ("INTERNAL: CUDA error: Failed call to cuInit", "libcudnn.so.9"),
     ("CUDA_ERROR_ILLEGAL_ADDRESS", "libcudnn.so.9"),
     ("OOM when allocating tensor with shape[9,9]", "set a smaller `batch`"),
     ("CUDA out of memory. Tried to allocate 2 GiB", "set a smaller `batch`")],
)  # fmt: skip
def test_a_job_that_its_gpu_ended_says_what_is_known(
    machine: Path, capsys: pytest.CaptureFixture[str], error: str, told: str
) -> None:
    fake_gpus.install(machine / "bin", [A])
    job = SimpleNamespace(
        rule="train_model", log=[str(machine / "log")], wildcards={}, resources={"gpu": 1}
    )
    with pytest.raises(RuntimeError), stage(job):
        raise RuntimeError(error)
    said = capsys.readouterr().err
    assert "on NVIDIA Pretended-0" in said
    assert told in said and told in (machine / "log").read_text()


def test_other_errors_and_other_jobs_say_nothing_of_gpus(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_gpus.install(machine / "bin", [A])
    job = SimpleNamespace(rule="index_files", log=[], wildcards={}, resources={"mem_mb": 1})
    with pytest.raises(RuntimeError), stage(job):
        raise RuntimeError("CUDA out of memory")
    job.resources = {"gpu": 1}
    with pytest.raises(RuntimeError), stage(job):
        raise RuntimeError("a defect")
    said = capsys.readouterr().err
    assert "libcu" not in said and "out of memory on the GPU" not in said


def test_how_a_job_takes_its_gpus_is_read_from_the_configuration(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpus.install(machine / "bin", [A])
    job = SimpleNamespace(rule="train_model", log=[], wildcards={}, resources={"gpu": 1})
    job.config = {"gpus": 1, "jobs_per_gpu": 4, "gpu_memory": 0.2}
    with stage(job) as taken:
        assert taken.required and taken.memory_share == 0.2
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    job.config = {"gpus": "auto"}
    job.resources = {"gpu": 0}
    with stage(job) as taken:
        assert taken == gpus.NO_GPUS
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_network_that_is_to_run_on_a_gpu_and_cannot_says_so(machine: Path) -> None:
    """With the real TensorFlow, which sees no pretended GPU."""
    fake_gpus.install(machine / "bin", [A])
    code = (
        "from pathlib import Path; from darkroom.train import keras_backend; from darkroom.machine import gpus; import sys\n"
        "gpus.LOCKS = Path(sys.argv[1])\n"
        "keras_backend.start(1, gpus=gpus.take(1, required=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(machine)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UserError: gpus: this job asks for a GPU and TensorFlow sees none" in done.stderr
    assert "TensorFlow sees no GPU" in done.stderr
