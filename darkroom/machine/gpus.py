"""The GPUs of this machine, and locks so that no two jobs take the same one.

Nothing else keeps two trainings of one machine off one GPU: Snakemake counts GPUs and does
not say which, and a second run knows nothing of the first. So a job locks the GPU that it
takes, by the GPU's own number, in a folder that all runs of this person on this machine share.
Standard library only, and nothing of a framework: it is read before one is imported.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import UserError
from darkroom.machine.commands import said

DEVICES = Path("/dev")
AMD_NODES = Path("/sys/class/kfd/kfd/topology/nodes")
# One place whatever the session: TMPDIR and XDG_RUNTIME_DIR differ from one to the next.
LOCKS = Path("/tmp")

WHOLE = 720720  # bytes of a GPU's lock: any number up to 16 divides them into equal shares
CONTEXT = 0.9  # of a shared GPU: the rest is what each process needs beside its arrays
NVIDIA, AMD = "nvidia", "amd"
ALLOCATED = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
             "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")  # fmt: skip


@dataclass(frozen=True)
class Gpu:
    """A GPU, or the part of one that the driver offers as a GPU (MIG).

    Attributes
    ----------
    name : what CUDA_VISIBLE_DEVICES or HIP_VISIBLE_DEVICES calls it: a UUID, or a number.
    key : of its lock: the same for all processes of this machine that mean this GPU.
    model : in words.
    maker : `nvidia` or `amd`.
    """

    name: str
    key: str
    model: str
    maker: str = NVIDIA


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a job, from `take`; of a process that took none, `NO_GPUS`.

    Attributes
    ----------
    count : how many the job asked for.
    required : whether the settings name the number, so that it is a mistake to find none.
    memory_share : of a GPU's memory that this process may take, 0..1; None: what it needs.
    taken : the GPUs that were locked; fewer where this machine's cannot be listed.
    locks : open files that hold the locks, for as long as this process lives.
    """

    count: int = 0
    required: bool = False
    memory_share: float | None = None
    taken: tuple[Gpu, ...] = ()
    locks: tuple[int, ...] = ()


NO_GPUS = Gpus()

# ---------------------------------------------------------------- which there are


def found() -> list[Gpu]:
    """The GPUs that this process may use, in their order; [] where there is none.

    NVIDIA's are listed by nvidia-smi, or by their devices where that is missing; AMD's by the
    kernel. CUDA_VISIBLE_DEVICES, or ROCR_ or HIP_VISIBLE_DEVICES, chooses among them, as a
    scheduler sets it: by numbers in nvidia-smi's order, or by UUIDs or their beginnings.
    """
    return _nvidia() or _amd()


def device_files() -> list[Path]:
    """The device files of NVIDIA's GPUs, in the order of their numbers."""
    nodes = [node for node in DEVICES.glob("nvidia[0-9]*") if node.name[6:].isdigit()]
    return sorted(nodes, key=lambda node: int(node.name[6:]))


def likely() -> bool:
    """Whether there is a GPU for a job here, known at once where its device file is there.

    Within a Slurm job only what Slurm gave counts.
    """
    if "SLURM_JOB_ID" in os.environ and not any(os.environ.get(name) for name in ALLOCATED):
        return False
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    plain = bool(device_files()) or (DEVICES / "kfd").exists()
    return plain if chosen is None and plain else bool(found())


def _nvidia() -> list[Gpu]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and not _entries(chosen):
        return []
    listed = _listed()
    if not listed:
        numbers = [node.name[6:] for node in device_files()]
        listed = [[Gpu(n, f"nvidia-{n}", "NVIDIA GPU")] for n in numbers]
        if not listed and chosen is None:
            return []
        # Of an allocation whose GPUs look the same, each job may see its own as 0.
        job = os.environ.get("SLURM_JOB_ID")
        if chosen is not None:
            of = f"nvidia-job{job}" if job else "nvidia"
            return [Gpu(name, f"{of}-{name}", "NVIDIA GPU") for name in _entries(chosen)]
    if chosen is None:
        return [gpu for parts in listed for gpu in parts]
    out: list[Gpu] = []
    for entry in _entries(chosen):
        if entry.isdigit():
            parts = listed[int(entry)] if int(entry) < len(listed) else []
        else:
            parts = [c for parts in listed for c in parts if c.name.startswith(entry)][:1]
        if not parts:  # as CUDA has it: what follows an unknown one is not seen
            break
        out += [gpu for gpu in parts if gpu not in out]
    return out


def _listed() -> list[list[Gpu]]:
    """The GPUs by nvidia-smi; a GPU that is divided (MIG) as its parts."""
    out: list[list[Gpu]] = []
    for line in (said("nvidia-smi", "-L") or "").splitlines():
        uuid = re.search(r"\(UUID: ([^)\s]+)\)", line)
        if uuid is None:
            continue
        if whole := re.match(r"GPU \d+: (.*?) \(UUID", line):
            out.append([Gpu(uuid[1], uuid[1], whole[1])])
        elif out:
            whole_model = out[-1][0].model.split(", ")[0]
            part = Gpu(uuid[1], uuid[1], f"{whole_model}, {' '.join(line.split()[:2])}")
            out[-1] = [c for c in out[-1] if c.name.startswith("MIG")] + [part]
    return out


def _amd() -> list[Gpu]:
    numbers = []
    for node in sorted(AMD_NODES.glob("*"), key=lambda p: int(p.name) if p.name.isdigit() else 0):
        try:
            if int((node / "gpu_id").read_text().strip() or 0):
                numbers.append((node / "gpu_id").read_text().strip())
        except (OSError, ValueError):
            continue
    gpus = [Gpu(str(n), f"amd-{key}", "AMD GPU", AMD) for n, key in enumerate(numbers)]
    for name in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        chosen = os.environ.get(name)
        if chosen is not None:
            return [gpus[int(e)] for e in _entries(chosen) if e.isdigit() and int(e) < len(gpus)]
    return gpus


def _entries(chosen: str) -> list[str]:
    """The GPUs of a `…_VISIBLE_DEVICES`; -1 and Slurm's NoDevFiles are none."""
    out = []
    for entry in (word.strip() for word in chosen.split(",")):
        if not entry or entry.startswith("-") or entry == "NoDevFiles":
            break
        out.append(entry)
    return out


def memory(gpus: Sequence[Gpu]) -> list[int | None]:
    """Memory of each GPU in MB (2^20 bytes), by nvidia-smi; None where it does not say."""
    query = ("--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits")
    memory: dict[str, int] = {}
    for line in (said("nvidia-smi", *query) or "").splitlines():
        uuid, _, size = (word.strip() for word in line.partition(","))
        if size.isdigit():
            memory[uuid] = int(size)
    return [memory.get(gpu.name) for gpu in gpus]


# ---------------------------------------------------------------- one for this job


def take(
    count: int,
    *,
    jobs: int = 1,
    memory_share: float | None = None,
    required: bool = False,
    say: Callable[[str], Any] = print,
    every: float = 0.5,
) -> Gpus:
    """Lock GPUs for this process until it ends, and let frameworks see these alone.

    Waits for as long as other jobs have them. The lock is the process's own: it ends with it,
    however it ends, and a child that lives on does not keep it. To be called before a framework
    is imported, which reads the environment that is set here.

    Parameters
    ----------
    count : GPUs to take; 0 hides them all.
    jobs : that may share a GPU. Each locks such a share; 1 shares with none, of whatever run.
    memory_share : of a GPU's memory that this process may take, 0..1; None: what it needs, or
        an equal share of a GPU that is shared.
    required : whether to find no GPU is a mistake.
    say : called once with a sentence when it has to wait.
    every : seconds between two looks while waiting.

    Raises
    ------
    UserError
        The machine has fewer GPUs than `count`, though some; or the folder of the locks is
        not this person's.
    """
    if count == 0:
        for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
            os.environ[name] = "-1"
        return NO_GPUS
    there = found()
    if 0 < len(there) < count:
        raise UserError(too_few(count, there))
    mine, locks = _lock(there, count, jobs, say, every) if there else ([], [])
    gpus = Gpus(count, required, share_of(jobs, memory_share), tuple(mine), tuple(locks))
    _show(gpus)
    return gpus


def share_of(jobs: int, wanted: float | None) -> float | None:
    """Share of a GPU's memory for a job, 0..1: the wanted one, or an equal one; None: what it needs."""
    return round(CONTEXT / jobs, 3) if wanted is None and jobs > 1 else wanted


def too_few(count: int, gpus: Sequence[Gpu]) -> str:
    """The sentence on fewer GPUs than a job asks for."""
    there = f"one GPU: {gpus[0].model}" if len(gpus) == 1 else f"{len(gpus)} GPUs"
    return f"gpus: a job asks for {count} GPUs and this machine has {there}; set gpus to at most {len(gpus)}"


def _show(gpus: Gpus) -> None:
    """Name the GPUs, and their share of memory, to whatever framework is imported next."""
    names = ",".join(gpu.name for gpu in gpus.taken)
    if gpus.taken and gpus.taken[0].maker == AMD:
        chosen = "ROCR" if "ROCR_VISIBLE_DEVICES" in os.environ else "HIP"
        os.environ[f"{chosen}_VISIBLE_DEVICES"] = names
    elif gpus.taken:
        os.environ["CUDA_VISIBLE_DEVICES"] = names
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order that nvidia-smi counts in
    # JAX takes three quarters of a GPU at its start otherwise
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if gpus.memory_share is not None:
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = str(gpus.memory_share)


def _lock(
    gpus: Sequence[Gpu], count: int, jobs: int, say: Callable[[str], Any], every: float
) -> tuple[list[Gpu], list[int]]:
    """Lock so many GPUs: all of them or none, so that no two jobs wait for each other's.

    Returns
    -------
    The GPUs, and the files that hold their locks.
    """
    folder, kept = _folder()
    keys = "\0".join(sorted(gpu.key for gpu in gpus))
    what = "a GPU" if count == 1 else f"{count} GPUs"
    message = f"waiting for {what}: other jobs have what there is ({len(gpus)})"
    # Those who wait queue up, so that a job of several GPUs is not passed by for ever.
    turn = folder / f"turn-{hashlib.sha256(keys.encode()).hexdigest()[:16]}"
    with _turn(turn, lambda: say(message), every) as waited:
        while True:
            held = _try(folder, gpus, count, jobs)
            if held:
                return list(held), [kept, *held.values()]
            if not waited:
                waited = True
                say(message)
            time.sleep(every * random.uniform(0.8, 1.2))


def _try(folder: Path, gpus: Sequence[Gpu], count: int, jobs: int) -> dict[Gpu, int]:
    """Locked GPUs and their files, or {} if not so many are free; an emptier GPU first."""
    held: dict[Gpu, int] = {}
    for share in range(jobs):
        for gpu in gpus:
            if len(held) < count and gpu not in held:
                file = _share(folder / re.sub(r"[^\w.-]", "_", gpu.key), share, jobs)
                if file is not None:
                    held[gpu] = file
    if len(held) == count:
        return held
    for file in held.values():
        os.close(file)
    return {}


def _share(path: Path, share: int, jobs: int) -> int | None:
    """An open file with this share of a GPU locked; None where another has it, or a part of it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    start, end = WHOLE * share // jobs, WHOLE * (share + 1) // jobs
    try:
        locked = _lock_now(file, end - start, start)
        if locked and os.fstat(file).st_ino == path.stat().st_ino:  # nobody swept the folder
            return file
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            os.close(file)
            raise
    os.close(file)
    return None


def _lock_now(file: int, length: int = 0, start: int = 0) -> bool:
    """Lock a range of bytes of an open file, 0: all, unless another process has a part of it."""
    import fcntl

    # POSIX locks of byte ranges, not flock: a forked child shares a flock and would keep the GPU.
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextmanager
def _turn(path: Path, say: Callable[[], Any], patience: float) -> Iterator[bool]:
    """Be the one that looks at the GPUs; whether others had to be waited for, as `say` then said.

    Parameters
    ----------
    patience : seconds before it is said: one that finds its GPUs free is done at once.
    """
    import fcntl

    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        free = _lock_now(file)
        if not free:
            time.sleep(patience)
            free = _lock_now(file)
        if not free:
            say()
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield not free
    finally:
        os.close(file)


def _folder() -> tuple[Path, int]:
    """The folder of the locks, this person's on this machine, and an open file that keeps it."""
    import fcntl

    path = LOCKS / f"darkroom-{os.getuid()}"
    with suppress(FileExistsError):  # of whatever kind: it is looked at
        path.mkdir(mode=0o700)
    there = path.lstat()
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid():
        raise UserError(f"{path}: the locks of the GPUs go there, and it is not yours; remove it")
    # What sweeps /tmp of old files leaves a folder alone that is locked so (man tmpfiles.d).
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(file, fcntl.LOCK_SH)
    return path, file
