"""What a GPU needs to be used: a driver, libraries by name, a framework built for them.

`settle` sets a framework's memory before its first operation; `findings` says what is there and
what to do about the rest. Builds and libraries are read from files: no framework is imported
to know them, and `ask` asks one in a process of its own.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from darkroom.errors import UserError
from darkroom.machine import installed
from darkroom.machine.commands import said
from darkroom.machine.gpus import NVIDIA, Gpu, Gpus, device_files, found, memory

log = logging.getLogger(__name__)

PCI = Path("/sys/bus/pci/devices")
DRIVER = Path("/proc/driver/nvidia/version")
TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}

# By CUDA's major version: the names that are opened, each with the package of pip that has it,
# and the oldest driver (NVIDIA's release notes: CUDA minor version compatibility).
LIBRARIES = {
    12: {
        "libcudart.so.12": "nvidia-cuda-runtime-cu12",
        "libcublas.so.12": "nvidia-cublas-cu12",
        "libcublasLt.so.12": "nvidia-cublas-cu12",
        "libcudnn.so.9": "nvidia-cudnn-cu12",
        "libcufft.so.11": "nvidia-cufft-cu12",
        "libcusolver.so.11": "nvidia-cusolver-cu12",
        "libcusparse.so.12": "nvidia-cusparse-cu12",
        "libnvJitLink.so.12": "nvidia-nvjitlink-cu12",
        "libnccl.so.2": "nvidia-nccl-cu12",
    },
    13: {
        "libcudart.so.13": "nvidia-cuda-runtime",
        "libcublas.so.13": "nvidia-cublas",
        "libcublasLt.so.13": "nvidia-cublas",
        "libcudnn.so.9": "nvidia-cudnn-cu13",
        "libcufft.so.12": "nvidia-cufft",
        "libcusolver.so.12": "nvidia-cusolver",
        "libcusparse.so.12": "nvidia-cusparse",
        "libnvJitLink.so.13": "nvidia-nvjitlink",
        "libnccl.so.2": "nvidia-nccl-cu13",
    },
}
OLDEST_DRIVER = {12: (525, 60), 13: (580, 65)}

COUNT = {
    "tensorflow": "import tensorflow as tf; n = len(tf.config.list_physical_devices('GPU'))",
    "jax": "import jax; n = sum(d.platform != 'cpu' for d in jax.devices())",
    "torch": "import torch; n = torch.cuda.device_count()",
}
# Words of an error that speaks of a GPU; TensorFlow, JAX and PyTorch in turn.
BROKEN = re.compile(
    r"cuda|cudnn|cublas|cufft|cusolver|cusparse|nccl|nvrtc|ptxas|libdevice|\bgpu\b|hip error", re.I
)
FULL = re.compile(
    r"RESOURCE_EXHAUSTED|ResourceExhausted|\bOOM\b|CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY"
)


@dataclass(frozen=True)
class Finding:
    """One sentence on something that was looked at.

    Attributes
    ----------
    level : `ok`, `note` (works, and worth knowing) or `problem` (will not work).
    text : what, where, and for a problem what to do.
    """

    level: Literal["ok", "note", "problem"]
    text: str


def lines(findings: Iterable[Finding]) -> str:
    """Findings as lines, each with its level in front."""
    return "\n".join(f"  {finding.level:<8} {finding.text}" for finding in findings)


# ---------------------------------------------------------------- in a job


def settle(framework: str, gpus: Gpus) -> int:
    """Let a framework take memory as it needs it, or up to its share.

    After its import and before its first operation. JAX reads the environment instead, and is
    only looked at where GPUs were taken.

    Parameters
    ----------
    framework : `tensorflow`, `jax` or `torch`, imported.
    gpus : of this job.

    Returns
    -------
    How many GPUs the framework sees.
    """
    share = gpus.memory_share
    if framework == "tensorflow":
        tf = sys.modules[framework]
        seen = tf.config.list_physical_devices("GPU")
        sizes = memory(gpus.taken) if share is not None else []
        for n, device in enumerate(seen):
            size = sizes[n] if n < len(sizes) else None
            if size is None or share is None:
                tf.config.experimental.set_memory_growth(device, True)
            else:  # TensorFlow takes either growth or a limit
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(share * size))
                tf.config.set_logical_device_configuration(device, [limit])
        return len(seen)
    if framework == "torch":
        torch = sys.modules[framework]
        count = int(torch.cuda.device_count())
        for n in range(count if share is not None else 0):
            torch.cuda.set_per_process_memory_fraction(share, n)
        return count
    if framework == "jax" and gpus.count:
        jax = sys.modules[framework]
        return sum(device.platform != "cpu" for device in jax.devices())
    return 0


def check(framework: str, seen: int, gpus: Gpus) -> None:
    """Say so where a job took GPUs and its framework does not see them.

    Parameters
    ----------
    framework : that was settled.
    seen : GPUs that it sees.
    gpus : of this job.

    Raises
    ------
    UserError
        The settings ask for GPUs by number: with what is wrong, and what to do.
    """
    if seen >= gpus.count:
        return
    name = TITLES.get(framework, framework)
    what = "a GPU" if gpus.count == 1 else f"{gpus.count} GPUs"
    have = "none" if seen == 0 else f"only {seen}"
    message = f"gpus: this job asks for {what} and {name} sees {have}"
    if gpus.required:
        raise UserError(
            f"{message}; mend what is named here, or set `gpus: 0` to train on the processor\n"
            + lines(findings(framework, wanted=True, ask_it=True))
        )
    log.warning(
        "%s: going on without; `gpus: 0` says no more of it\n%s",
        message,
        lines(findings(framework, wanted=True)),
    )


def explain(error: BaseException, gpus: Gpus, framework: str | None = None) -> str | None:
    """What to do about an error that a GPU may be the cause of; None for any other.

    Parameters
    ----------
    error : that ended a job.
    gpus : of that job.
    framework : it ran on; None: the one of KERAS_BACKEND.
    """
    if not gpus.count:
        return None
    text = f"{type(error).__name__}: {error}"
    if FULL.search(text):
        share = gpus.memory_share
        part = (
            f", which this job may take {share:.0%} of (gpu_memory, jobs_per_gpu)" if share else ""
        )
        return (
            f"out of memory on the GPU{part}: set a smaller `batch`, or see by `nvidia-smi` what "
            "else is on it"
        )
    if not BROKEN.search(text):
        return None
    framework = framework or os.environ.get("KERAS_BACKEND", "tensorflow")
    return "the GPU failed; what is known of it:\n" + lines(findings(framework, wanted=True))


# ---------------------------------------------------------------- what is there


def findings(framework: str, *, wanted: bool | None = None, ask_it: bool = False) -> list[Finding]:
    """GPUs, driver, and a framework's libraries by name; each problem with its remedy.

    Parameters
    ----------
    framework : `tensorflow`, `jax` or `torch`.
    wanted : whether GPUs are to be used: True makes a missing GPU a problem, None only
        where there is one.
    ask_it : ask the framework too, in a process of its own: some seconds.
    """
    there = found()
    out = _gpus(there, bool(wanted))
    if wanted is None:
        wanted = bool(there)
    if there and there[0].maker == NVIDIA:
        out += _devices()
    build, problem = _build(framework)
    if problem:
        out.append(Finding("problem" if wanted else "note", problem))
        return out
    if build is not None and (not there or there[0].maker == NVIDIA):
        out += _driver(build, framework) if there else []
        out += _libraries(build, framework, needed=bool(there))
    if ask_it and wanted:
        out.append(ask(framework))
    return out


def _gpus(there: Sequence[Gpu], wanted: bool) -> list[Finding]:
    if there:
        sizes = memory(there)
        return [
            Finding("ok", f"GPU {c.model}" + (f", {size} MB" if size else "") + f" ({c.name})")
            for c, size in zip(there, sizes, strict=True)
        ]
    level: Literal["note", "problem"] = "problem" if wanted else "note"
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        if name in os.environ:
            return [
                Finding(
                    level,
                    f"{name}={os.environ[name]!r} shows no GPU of this machine; unset it, or let "
                    "it name one of `nvidia-smi -L`",
                )
            ]
    broken = _smi_error()
    if broken is not None:
        return [
            Finding(
                "problem",
                f"nvidia-smi fails ({broken}): the driver does not work; restart the machine after "
                "an update of the driver, else install it anew",
            )
        ]
    if _on_the_bus():
        return [
            Finding(
                "problem",
                "an NVIDIA GPU is in this machine and its driver is not loaded: install it (Debian: "
                "apt install nvidia-driver; Ubuntu: ubuntu-drivers install) and restart; a container "
                "is started with --gpus all (Docker) or --nv (Apptainer)",
            )
        ]
    return [Finding(level, "no GPU in this machine: networks train on its processor")]


def _smi_error() -> str | None:
    """What nvidia-smi complains of; None where it is missing or works."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode == 0:
        return None
    return (done.stdout.strip() or done.stderr.strip() or "without a word").splitlines()[0]


def _on_the_bus() -> bool:
    """Whether a GPU of NVIDIA is plugged in, driver or not."""
    for device in PCI.glob("*"):
        try:
            vendor = (device / "vendor").read_text().strip()
            if vendor == "0x10de" and (device / "class").read_text().startswith("0x03"):
                return True
        except OSError:
            continue
    return False


def _devices() -> list[Finding]:
    nodes = device_files()
    refused = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if refused:
        return [
            Finding(
                "problem",
                f"{', '.join(refused)} may not be opened by you: ask for the group that owns it "
                "(ls -l says which: often video or render)",
            )
        ]
    if nodes and not nodes[0].with_name("nvidia-uvm").exists():
        return [
            Finding(
                "problem",
                "/dev/nvidia-uvm is missing, and CUDA cannot start: run `nvidia-modprobe -u` as root",
            )
        ]
    return []


def driver() -> tuple[int, int] | None:
    """(major, minor) of NVIDIA's driver; None where there is none."""
    try:
        text = DRIVER.read_text(encoding="utf-8")
    except OSError:
        text = said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or ""
    match = re.search(r"\b(\d{3,4})\.(\d{1,3})", text)
    return (int(match[1]), int(match[2])) if match else None


def _driver(cuda: int, framework: str) -> list[Finding]:
    have, need = driver(), OLDEST_DRIVER[cuda]
    if have is not None and have < need:
        return [
            Finding(
                "problem",
                f"the driver {have[0]}.{have[1]:02} is older than CUDA {cuda} of {TITLES[framework]} "
                f"takes ({need[0]}.{need[1]} or newer): update the driver",
            )
        ]
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [
            Finding(
                "problem",
                "libcuda.so.1, the driver's own library, cannot be opened: install the driver (Debian: "
                "apt install nvidia-driver libcuda1); a container is started with --gpus all (Docker) "
                "or --nv (Apptainer)",
            )
        ]
    version = f"driver {have[0]}.{have[1]:02}" if have else "driver"
    return [Finding("ok", f"{version}, libcuda.so.1")]


def _build(framework: str) -> tuple[int | None, str]:
    """CUDA's major version that a framework was built for, if for any; or what is wrong with it."""
    name = TITLES[framework]
    version = installed.version(framework)
    if version is None:
        return None, f"{name} is not installed: {remedy(framework, None)}"
    if framework == "jax":
        for major in sorted(LIBRARIES, reverse=True):
            if installed.version(f"jax-cuda{major}-plugin"):
                return major, ""
        if installed.version("jax-rocm7-plugin") or installed.version("jax-rocm60-plugin"):
            return None, ""
        return None, f"JAX {version} has no plugin for GPUs: {remedy(framework, version)}"
    spec = importlib.util.find_spec(framework)
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    file = folder / ("python/platform/build_info.py" if framework == "tensorflow" else "version.py")
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None, ""
    if re.search(r"'is_rocm_build', True|^hip\b.*= *'", text, re.M):
        return None, ""
    match = re.search(r"(?:'cuda_version', |^cuda\b.*= *)'(\d+)", text, re.M)
    if match is None:
        return None, f"{name} {version} is built without CUDA: {remedy(framework, version)}"
    major = int(match[1])
    return (major if major in LIBRARIES else None), ""


def remedy(framework: str, version: str | None) -> str:
    """The command that installs a framework for GPUs, in the version that is there."""
    extra = {"tensorflow": "[and-cuda]", "jax": "[cuda12]", "torch": ""}[framework]
    pinned = f"=={version.split('+')[0]}" if version else ""
    force = "--force-reinstall " if framework == "torch" and version else ""
    return f"{Path(sys.prefix) / 'bin' / 'pip'} install {force}'{framework}{extra}{pinned}'"


def _libraries(cuda: int, framework: str, *, needed: bool) -> list[Finding]:
    wanted = LIBRARIES[cuda]
    version = installed.version(framework)
    of = f"{TITLES[framework]} {version} (CUDA {cuda})"
    missing = [name for name in wanted if library(name) is None]
    if not missing:
        return [Finding("ok", f"all libraries of {of}: {', '.join(wanted)}")]
    if not needed:
        return [
            Finding(
                "note",
                f"{_some(missing, wanted)} libraries of {of} are missing, which only a GPU needs: "
                f"{', '.join(missing)}",
            )
        ]
    packages = dict.fromkeys(wanted[name] for name in missing)
    out = [
        Finding(
            "problem",
            f"missing for {of}: {', '.join(missing)} ({', '.join(packages)}): "
            f"{remedy(framework, version)}",
        )
    ]
    if len(missing) < len(wanted):
        out.append(
            Finding("ok", f"found: {', '.join(name for name in wanted if name not in missing)}")
        )
    return out


def _some(part: Sequence[str], whole: Iterable[str]) -> str:
    count = len(list(whole))
    return f"all {count}" if len(part) == count else f"{len(part)} of {count}"


def library(name: str) -> str | None:
    """Where a shared library lies: in pip's packages, LD_LIBRARY_PATH, or known to the system."""
    for folder in sys.path:
        for path in sorted(Path(folder or ".").glob(f"nvidia/*/lib/{name}")):
            return str(path)
    for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        if folder and (Path(folder) / name).exists():
            return str(Path(folder) / name)
    command = "ldconfig" if said("ldconfig", "-V") else "/sbin/ldconfig"
    match = re.search(rf"^\s*{re.escape(name)} .*=> (\S+)$", said(command, "-p") or "", re.M)
    return match[1] if match else None


def ask(framework: str, limit: float = 300) -> Finding:
    """How many GPUs a framework itself sees, in a process of its own.

    Parameters
    ----------
    framework : `tensorflow`, `jax` or `torch`.
    limit : seconds that it may take.
    """
    name = TITLES[framework]
    code = f"{COUNT[framework]}; print('GPUs:', n)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=limit,
            errors="replace",
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"},
        )
    except subprocess.TimeoutExpired:
        return Finding("problem", f"{name} did not answer about GPUs within {limit:.0f} s")
    match = re.search(r"^GPUs: (\d+)$", done.stdout, re.M)
    if match is None:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return Finding("problem", f"{name} cannot be started: {last}")
    if int(match[1]):
        return Finding("ok", f"{name} sees {match[1]} GPU{'s' if match[1] != '1' else ''}")
    words = [
        line
        for line in done.stderr.splitlines()
        if re.search(r"CUDA_ERROR|dlopen|cannot open|cuInit", line)
    ]
    said_so = f", and says: {_plain(words[-1])}" if words else ""
    return Finding("problem", f"{name} sees no GPU{said_so}")


def _plain(line: str) -> str:
    """A line of TensorFlow's log without time, process and place."""
    return re.sub(r"^[\w: .-]*?\b[IWEF]\d* ?[\d:. ]*(?:\d+ )?\S+:\d+\] ?", "", line).strip()
