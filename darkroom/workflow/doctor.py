"""`python -m darkroom doctor`: what will work here and what will not, before anything is run.

Each section looks at one thing and tells what it found, a sentence each; a problem comes with
what to do about it. Nothing is written but a trial file that is removed again, and nothing that
is secret is told.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from darkroom import ROOT
from darkroom.config.compare import merged
from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.machine import cards, disk, gpu, hardware, installed
from darkroom.machine.gpu import Finding
from darkroom.sources import download
from darkroom.workflow import forecast
from darkroom.workflow.needs import MB
from darkroom.workflow.size import ASSUMED_FILES, size_of

PYTHONS = ((3, 11), (3, 13))
SHOWN = 5  # packages, data sets, addresses that are named
REMOTE = ("https", "kaggle", "kaggle-competition")


class Asked(NamedTuple):
    """What is looked at.

    Attributes
    ----------
    settings : checked; None where they are not valid. refused : why they are not.
    folder : the working directory of a run. root : the project's.
    """

    settings: Settings | None
    refused: str
    folder: Path
    root: Path


def examine(
    files: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    root: Path = ROOT,
) -> Iterator[tuple[str, list[Finding]]]:
    """Look at everything, a section at a time: its title and its findings.

    Parameters
    ----------
    files : overlays, as `snakemake --configfile` takes them. values : as its `--config`.
    folder : where a run would work; None: the current one. root : the project's folder.
    """
    settings, refused = None, ""
    try:
        settings = _settings(files, values or {}, root)
    except UserError as error:
        refused = str(error)
    asked = Asked(settings, refused, folder or Path.cwd(), root)
    for title, look in SECTIONS.items():
        yield title, list(look(asked))


def show(
    sections: Iterable[tuple[str, list[Finding]]], write: Callable[[str], Any], width: int | None
) -> int:
    """Write sections as they come; how many problems there are.

    Parameters
    ----------
    write : called with text. width : columns to break lines at; None: they are not broken.
    """
    problems = 0
    for title, findings in sections:
        if not findings:
            continue
        write(f"{title}\n")
        for line in gpu.lines(findings).splitlines():
            if width is not None and line.startswith("  "):
                line = textwrap.fill(
                    line, width, subsequent_indent=" " * 11, break_long_words=False,
                    break_on_hyphens=False, drop_whitespace=True,
                )  # fmt: skip
            write(f"{line}\n")
        problems += sum(finding.level == "problem" for finding in findings)
    return problems


# ---------------------------------------------------------------- settings and data


def _settings(files: Sequence[str], values: Mapping[str, Any], root: Path) -> Settings:
    """The settings as a run would have them."""
    import yaml

    config: dict[str, Any] = {}
    named = [str(root / "config.yaml"), *files]
    for file in named:
        try:
            read = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror})") from None
        except yaml.YAMLError as error:
            raise UserError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(read or {}, dict):
            raise UserError(f"{file}: holds no mapping of settings")
        config = merged(config, read or {})
    return Settings.load(merged(config, dict(values)), files=named)


def _configuration(asked: Asked) -> Iterator[Finding]:
    settings = asked.settings
    if settings is None:
        yield from (Finding("problem", line) for line in asked.refused.splitlines() if line.strip())
        return
    run = settings.run
    yield Finding(
        "ok",
        f"valid: data {_some(run.datasets)}; networks {_some(run.models) or 'none'}; "
        f"classifiers {_some(run.classifiers) or 'none'}",
    )
    from darkroom.workflow import checks

    told: list[str] = []
    try:
        with contextlib.chdir(asked.folder):
            checks.check(settings, say=told.append)
            checks.check_shards(settings, say=told.append)
    except UserError as error:
        yield Finding("problem", str(error))
    yield from (Finding("note", text) for text in told)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _sources(asked: Asked) -> Iterator[Finding]:
    """Where what is not here yet comes from: mirror, token, network."""
    settings = asked.settings
    if settings is None:
        return
    mirror = settings.mirror
    if mirror is not None:
        place = asked.folder / Path(mirror).expanduser()
        if place.is_dir() and os.access(place, os.R_OK | os.X_OK):
            yield Finding("ok", f"mirror {mirror}: {sum(1 for _ in place.iterdir())} files")
        else:
            yield Finding("problem", f"mirror {mirror}: no folder that you may read; mend `mirror`")
    missing: dict[str, list[str]] = {}
    for name in settings.run.datasets:
        source = settings.datasets[name].source
        try:
            kind = download.kind(source)
        except UserError:
            continue  # the settings' section says so
        if kind in REMOTE and not (asked.folder / "data" / name / "source.json").exists():
            host = "www.kaggle.com" if kind.startswith("kaggle") else urlsplit(source).netloc
            missing.setdefault(host.split("@")[-1], []).append(name)
    weights = [
        name
        for name in dict.fromkeys(
            b for d in settings.run.datasets for b in settings.backbones_of(d)
        )
        if not (asked.folder / "data" / "weights" / f"{name}.h5").exists()
        and settings.features[name].weights.startswith(("imagenet", "https:"))
    ]
    for name in weights:
        given = settings.features[name].weights
        host = "storage.googleapis.com" if given == "imagenet" else urlsplit(given).netloc
        missing.setdefault(host, []).append(f"weights of {name}")
    if "www.kaggle.com" in missing or _uses_kaggle(settings):
        yield _token("www.kaggle.com" in missing)
    for host, wanted in missing.items():
        yield _reached(host, _some(wanted), mirror)
    if not missing:
        yield Finding("ok", "nothing is to be fetched from the network")


def _uses_kaggle(settings: Settings) -> bool:
    return any(settings.datasets[d].source.startswith("kaggle") for d in settings.run.datasets)


def _token(needed: bool) -> Finding:
    from darkroom.sources import kaggle

    try:
        found = kaggle.credentials()
    except UserError as error:
        return Finding("problem", str(error))
    if found is not None:
        return Finding("ok", f"a Kaggle token, from {found.where}")
    return Finding(
        "problem" if needed else "note",
        f"no Kaggle token: make one at {kaggle.TOKENS} and save it as ~/.kaggle/access_token",
    )


def _reached(host: str, what: str, mirror: str | None) -> Finding:
    name, _, port = host.partition(":")
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if proxy:
        return Finding("note", f"{what}: fetched from {host} through your proxy")
    try:
        socket.create_connection((name, int(port or 443)), timeout=3).close()
    except (OSError, ValueError) as error:
        level: Any = "note" if mirror else "problem"
        other = "the mirror has to have it" if mirror else (
            "run `snakemake --cores 1 download` where the network is, or name a folder by `mirror`"
        )  # fmt: skip
        return Finding(level, f"{what}: {host} is not reached ({error}); {other}")
    return Finding("ok", f"{what}: {host} is reached")


# ---------------------------------------------------------------- what is installed


def _packages(asked: Asked) -> Iterator[Finding]:
    have = sys.version_info[:2]
    told = f"Python {'.'.join(map(str, sys.version_info[:3]))} in {sys.prefix}"
    if not PYTHONS[0] <= have <= PYTHONS[1]:
        yield Finding("problem", f"{told}: Darkroom needs Python 3.11, 3.12 or 3.13; `make setup`")
    else:
        yield Finding("ok", told)
    lock = asked.root / "envs" / "run.lock"
    missing, other = _against(lock)
    count = len(_locked(lock))
    mend = "`make setup`, or pip install --require-hashes --no-deps -r envs/run.lock"
    if missing:
        yield Finding(
            "problem", f"{len(missing)} of {count} packages are missing: {_some(missing)}; {mend}"
        )
    if other:
        yield Finding(
            "note",
            f"{len(other)} of {count} packages are not of the locked version: {_some(other)}; what "
            f"was tested is what is locked: {mend}",
        )
    if not missing and not other:
        yield Finding("ok", f"all {count} packages as in envs/run.lock")
    settings = asked.settings
    backend = settings.backend if settings is not None else "tensorflow"
    if backend != "tensorflow" and importlib.util.find_spec(backend) is None:
        yield Finding(
            "problem",
            f"backend: {backend} is not installed: pip install -r envs/backends.in, or set "
            "backend: tensorflow",
        )


def _locked(lock: Path) -> dict[str, str]:
    """Names and versions of a lock that are for this interpreter and system."""
    from packaging.requirements import Requirement

    out = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            wanted = Requirement(line.rstrip("\\ "))
            if wanted.marker is None or wanted.marker.evaluate():
                out[wanted.name] = str(wanted.specifier).removeprefix("==")
    return out


def _against(lock: Path) -> tuple[list[str], list[str]]:
    """Packages of a lock that are missing, and those of another version, in words."""
    missing, other = [], []
    for name, version in _locked(lock).items():
        have = installed.version(name)
        if have is None:
            missing.append(name)
        elif have != version:
            other.append(f"{name} {have} (locked: {version})")
    return missing, other


PLUGINS = ("cluster", "kubernetes")  # environments of Snakemake with plugins: `make cluster`


def _hold(environment: Path, packages: Sequence[str]) -> bool:
    """Whether all packages are in an environment beside this one."""
    folders = list(environment.glob("lib/python*/site-packages"))
    return any(
        all((folder / package.replace("-", "_")).is_dir() for package in packages)
        for folder in folders
    )


def _profiles(asked: Asked) -> Iterator[Finding]:
    """Executors and storage that the profiles name, and whether their plugins are there."""
    import yaml

    for file in sorted((asked.root / "profiles").glob("*/*.yaml")):
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError):
            yield Finding("problem", f"profiles/{file.parent.name} cannot be read as YAML")
            continue
        wanted = {
            "executor": str(read.get("executor", "local")),
            "storage": str(read.get("default-storage-provider", "")),
        }
        plugins = [
            f"snakemake-{kind}-plugin-{name}"
            for kind, name in wanted.items()
            if name not in ("", "none", "local", "dryrun", "touch")
        ]
        without = [p for p in plugins if importlib.util.find_spec(p.replace("-", "_")) is None]
        name = f"profile {file.parent.name}"
        beside = next(
            (made for made in PLUGINS if _hold(asked.root / f".venv-{made}", without)), ""
        )
        if without and beside:
            yield Finding("ok", f"{name}: by .venv-{beside}/bin/snakemake")
        elif without:
            made = "kubernetes" if "kubernetes" in wanted["executor"] else "cluster"
            known = file.parent.name in ("slurm", "generic", "kubernetes")
            how = f"`make {made}`" if known else f"pip install {' '.join(without)}"
            yield Finding("note", f"{name} needs {', '.join(without)}, to be used: {how}")
        elif plugins:
            yield Finding("ok", f"{name}: {', '.join(plugins)}")
        if wanted["executor"] == "slurm" and not without and shutil.which("sbatch") is None:
            yield Finding("note", f"{name}: no sbatch here; it is used on a login node of Slurm's")


# ---------------------------------------------------------------- the machine


def _machine(asked: Asked) -> Iterator[Finding]:
    have = hardware.limits()
    total = os.cpu_count() or 1
    of = f" of {total}" if have.cores < total else ""
    free = _available()
    text = f"{have.cores:g} cores{of}"
    if have.memory is not None:
        text += f", {_gib(have.memory)} of memory"
    if free is not None:
        text += f", {_gib(min(free, have.memory or free))} of it free now"
    yield Finding("ok", text)
    if have.cores < hardware.cores():
        yield Finding(
            "note",
            f"only {have.cores:g} of {total} cores are yours here (a cgroup's quota): "
            f"--cores {max(1, int(have.cores))} instead of --cores all",
        )


def _available() -> int | None:
    for line in hardware.lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


def _graphics(asked: Asked) -> Iterator[Finding]:
    settings = asked.settings
    backend = settings.backend if settings is not None else "tensorflow"
    count = settings.gpus if settings is not None else "auto"
    if count == 0:
        yield Finding("note", "gpus: 0, so networks train on the processor whatever is here")
        return
    there = cards.found()
    if count != "auto" and 0 < len(there) < count:
        yield Finding("problem", cards.too_few(count, there))
    yield from gpu.findings(backend, wanted=None if count == "auto" else True, ask_it=True)
    if there and settings is not None:
        part = cards.part_of(settings.jobs_per_gpu, settings.gpu_memory)
        if part is not None:
            yield Finding(
                "note", f"a job may take {part:.0%} of a card's memory (gpu_memory, jobs_per_gpu)"
            )


# ---------------------------------------------------------------- discs


def _discs(asked: Asked) -> Iterator[Finding]:
    """Room, and what a file system has to do: rename, map, lock."""
    seen: set[int] = set()
    for part in ("results", "data"):
        place = disk.nearest(asked.folder / part)
        device = place.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(place)
        kind = _kind(place)
        yield Finding(
            "ok",
            f"{place}{f' ({kind})' if kind else ''}: {disk.size_text(usage.free)} of "
            f"{disk.size_text(usage.total)} free",
        )
        inodes = os.statvfs(place)
        if inodes.f_files and inodes.f_favail < 10_000:
            yield Finding(
                "problem",
                f"{place}: room for only {inodes.f_favail} more files, however small; remove some",
            )
        yield from _tried(place)
    yield from _temporary()


def _kind(place: Path) -> str:
    """Name of the file system that a folder is on, as /proc/mounts has it."""
    best, kind = "", ""
    for line in hardware.lines(Path("/proc/mounts")):
        words = line.split()
        if len(words) < 3:
            continue
        mount = words[1].replace("\\040", " ")
        if len(mount) >= len(best) and place.resolve().is_relative_to(mount):
            best, kind = mount, words[2]
    return kind


def _tried(place: Path) -> Iterator[Finding]:
    """What every stage does with its files, done once."""
    try:
        folder = tempfile.mkdtemp(prefix=".doctor-", dir=place)
    except OSError as error:
        yield Finding("problem", disk.in_words(_at(error, place)) or f"{place}: {error.strerror}")
        return
    try:
        trial = Path(folder) / "trial"
        for what, then, act in TRIALS:
            try:
                act(trial)
            except (OSError, ValueError, RuntimeError) as error:
                why = " ".join(str(error).split())
                level, told = then
                yield Finding(level, f"{place}: {what} is refused ({why}): {told}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _at(error: OSError, place: Path) -> OSError:
    error.filename = str(place)
    return error


def _write(path: Path) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(bytes(4096))
        os.fsync(file.fileno())
    part.replace(path)


def _map(path: Path) -> None:
    import mmap

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        if mapped[:1] != b"\0":
            raise ValueError("another byte was read than was written")


def _flock(path: Path) -> None:
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _exclusive(path: Path) -> None:
    place = path.with_suffix(".lock")
    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return
    raise OSError("a file could be made a second time")


def _hdf5(path: Path) -> None:
    import h5py

    place = path.with_suffix(".h5")
    with h5py.File(place, "w", locking=False) as file:
        file.create_dataset("images", (16,), "u1")
    with h5py.File(place, "r", locking=False) as file:
        _ = file["images"][()]


def _hdf5_locked(path: Path) -> None:
    import h5py

    with h5py.File(path.with_suffix(".locked.h5"), "w", locking=True) as file:
        file.create_dataset("images", (16,), "u1")


Then = tuple[Any, str]
_ELSEWHERE = "work in a folder of another disc (snakemake --directory FOLDER)"
TRIALS: tuple[tuple[str, Then, Callable[[Path], None]], ...] = (
    ("writing a file and renaming it", ("problem", _ELSEWHERE), _write),
    ("mapping a file into memory", ("problem", _ELSEWHERE), _map),
    ("making a file that only one can make", ("problem", _ELSEWHERE), _exclusive),
    ("an HDF5 file", ("problem", _ELSEWHERE), _hdf5),
    ("a lock on a file (flock)",
     ("note", "after a killed run, say `snakemake --unlock` before the next"), _flock),
    ("HDF5's own lock",
     ("note", "Darkroom does without; for other programs set HDF5_USE_FILE_LOCKING=FALSE"), _hdf5_locked),
)  # fmt: skip


def _temporary() -> Iterator[Finding]:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    if free < 500_000_000:
        yield Finding(
            "note",
            f"{place}: {disk.size_text(free)} free for temporary files; set TMPDIR to a folder with more",
        )


# ---------------------------------------------------------------- forecast


def _forecast(asked: Asked) -> Iterator[Finding]:
    """Time, memory and disc of a run from its beginning."""
    settings = asked.settings
    if settings is None:
        return
    have = hardware.limits()
    cores = max(1, int(have.cores))
    there = len(cards.found()) if settings.gpus != 0 else 0
    with contextlib.chdir(asked.folder):
        assumed = [d for d in settings.run.datasets if size_of(settings, d).known == "assumed"]
        told = forecast.forecast(settings, cores, there)
    total, where = sum(told.seconds.values()), f"{cores} core{'s' if cores > 1 else ''}"
    if there:
        where += f" and {there} card{'s' if there > 1 else ''}"
    longest = ", ".join(
        f"{rule} {_time(told.seconds[rule])} ({count} job{'s' if count > 1 else ''})"
        for rule in sorted(told.seconds, key=lambda r: -told.seconds[r])[:3]
        if (count := told.jobs[rule])
    )
    if assumed:
        yield Finding(
            "note",
            f"nothing is known yet of {_some(assumed)}: {ASSUMED_FILES} files are assumed; "
            "after `snakemake --cores 1 download` it is told better",
        )
    yield Finding(
        "ok",
        f"a run from its beginning: {told.jobs.total()} jobs, about {_time(total)} on {where} with "
        f"nothing else to do; most of it {longest}",
    )
    yield _memory(told.memory, told.largest, told.beside, have.memory)
    begun = [d for d in settings.run.datasets if (asked.folder / "results" / d).exists()]
    yield _written(asked.folder, told.disc, begun)


def _memory(size: float, rule: str, beside: int, limit: int | None) -> Finding:
    told = f"most memory: {rule}, about {_gib(size)}"
    if beside > 1:
        told += f", and {beside} of them side by side"
    if limit is not None and size > limit:
        return Finding(
            "problem",
            f"{told}, where {_gib(limit)} are yours: a smaller `batch`, view or `max_rows`, or a "
            "machine with more",
        )
    if limit is not None and size * beside > 0.9 * limit:
        return Finding(
            "note",
            f"{told}: that may not fit into {_gib(limit)}; --resources "
            f"mem_mb={int(limit * 0.9 / MB)} keeps jobs apart",
        )
    return Finding("ok", told)


def _written(folder: Path, size: float, begun: Sequence[str]) -> Finding:
    free = shutil.disk_usage(folder).free
    told = f"writes about {disk.size_text(size)}"
    if begun:
        told += f", less what is there of {_some(begun)}"
    elif size > free:
        return Finding(
            "problem",
            f"{told} and {disk.size_text(free)} are free: free some, or {_ELSEWHERE}",
        )
    return Finding("ok", f"{told}; {disk.size_text(free)} are free")


def _time(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit != "days" and seconds >= 1.5 * size):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


SECTIONS: dict[str, Callable[[Asked], Iterator[Finding]]] = {
    "settings": _configuration,
    "packages": _packages,
    "graphics cards": _graphics,
    "machine": _machine,
    "discs": _discs,
    "sources": _sources,
    "forecast": _forecast,
    "profiles": _profiles,
}
