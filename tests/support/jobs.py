"""The jobs of a small run, each to be run again as a process of its own: killed, refused, compared.

Snakemake runs the whole chain once; its scripts are replaced by ones that note what they
were given before they do their work. So each job can be repeated without Snakemake, in a
second or two, and its files compared with those of the first, undisturbed run.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq

from darkroom import ROOT
from tests.support import warm
from tests.support.backbone_weights import mobilenet_weights, two_blocks, two_blocks_in
from tests.support.pictures import class_folders
from tests.support.workspace import Workspace, make_workspace

NOTE = """
import atexit as _atexit, pickle as _pickle, sys as _sys, time as _time
from pathlib import Path as _Path
_name = f"{{_time.time_ns()}}-{{snakemake.rule}}"
for _folder in ("jobs", "imports"):
    _Path(_folder).mkdir(exist_ok=True)
_Path("jobs", _name).write_bytes(_pickle.dumps(snakemake))
_before = set(_sys.modules)
_place = _Path("imports", _name).absolute()
_atexit.register(lambda: _place.write_text(" ".join(sorted(set(_sys.modules) - _before))))
{original}
"""
RUN = (
    "import pickle, runpy, sys\n"
    "from pathlib import Path\n"
    "given = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
    "runpy.run_path(sys.argv[2], init_globals={'snakemake': given}, run_name='__main__')\n"
)
TARGETS = [
    "all",
    "results/shapes/predictions/new.csv",
    "results/shapes/paper/tables.tex",
    "results/sharded/images/32x32-rgb-squash.h5",
]


def every_rule(root: Path, wide: bool = False) -> Workspace:
    """A workspace whose run has a job of every rule; a second data set is prepared in shards.

    Parameters
    ----------
    wide : also a network without a backbone, a whole backbone, more trials, more feature sets and
        classifiers.
    """
    made = make_workspace(root)
    if not wide:
        two_blocks_in(root)
    shutil.make_archive(str(root / "pictures"), "zip", root / "pictures")
    class_folders(root / "unseen", per_class=2)
    with contextlib.nullcontext() if wide else two_blocks():
        mobilenet_weights(root / "backbone.h5")
    rate = {"optimizer.learning_rate": {"low": "1e-3", "high": "1e-1", "log": True}}
    space = {"settings.C": {"low": 0.1, "high": 100, "log": True}}
    made.config["datasets"]["sharded"] = made.config["datasets"]["shapes"] | {"shards": 2}
    made.config["datasets"]["shapes"] |= {"source": "pictures.zip", "robustness": True}
    made.config["models"]["tiny"] |= {"epochs": 5, "early_stopping": 2}
    made.config["models"]["tuned"] = {
        "backbone": "small", "layers": [{"dense": 4}, {"dropout": 0.3}], "epochs": 3, "batch": 8,
        "early_stopping": 2, "fine_tune": {"blocks": 1, "epochs": 2},
        "tune": {"space": rate, "trials": 2 if wide else 1, "epochs": 2},
    }  # fmt: skip
    made.config["features"]["small"] = {
        "kind": "backbone", "application": "MobileNet", "settings": {"alpha": 0.25},
        "view": {"size": 32}, "weights": "backbone.h5",
    }  # fmt: skip
    made.config["classifiers"]["svm"]["tune"] = {"space": space, "trials": 1}
    made.config["predict"] = {"new": "unseen"}
    made.config["run"] |= {
        "models": ["tiny", "tuned"] if wide else ["tuned"],
        "features": ["pixels", "small"] if wide else ["pixels"],
        "classifiers": ["svm", "random_forest"] if wide else ["svm"],
    }
    return made


@dataclass
class Job:
    """What Snakemake gave to a script; paths are relative to `root`."""

    root: Path
    place: Path
    given: Any

    @property
    def rule(self) -> str:
        return str(self.given.rule)

    @property
    def name(self) -> str:
        return " ".join([self.rule, *map(str, dict(self.given.wildcards.items()).values())])

    @property
    def outputs(self) -> list[Path]:
        return [Path(str(path)) for path in self.given.output]

    def start(self) -> warm.Started:
        """Start it in a session of its own, its packages loaded."""
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DARKROOM_PARENT")}
        words = [str(self.root / "run_job.py"), str(self.place), str(self.script)]
        return warm.Started(words, self.root, env | {"TF_CPP_MIN_LOG_LEVEL": "2"})

    @property
    def imports(self) -> set[str]:
        """Packages that it loaded in the recorded run, beside those of Snakemake."""
        said = (self.root / "imports" / self.place.name).read_text()
        return {module.split(".")[0] for module in said.split()}

    @property
    def seconds(self) -> float:
        """That it took in the recorded run."""
        ended = (self.root / "imports" / self.place.name).stat().st_mtime
        return ended - int(self.place.name.split("-")[0]) / 1e9

    @property
    def script(self) -> Path:
        return self.root / "originals" / f"{self.rule}.py"

    def remove_outputs(self) -> None:
        """As Snakemake does before a job: no output is there, every folder is."""
        for path in self.outputs:
            (self.root / path).unlink(missing_ok=True)
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / str(self.given.log[0])).parent.mkdir(parents=True, exist_ok=True)

    def forget(self) -> None:
        """Remove also what no rule declares: states, journals, downloads."""
        self.remove_outputs()
        for path in self.outputs:
            folder = self.root / path.parent
            if self.rule in ("download_source", "download_weights"):
                shutil.rmtree(folder)
                folder.mkdir()
            shutil.rmtree(folder / ".resume", ignore_errors=True)
            if self.rule.startswith("try_") and str(self.given.wildcards.n) == "1":
                for other in folder.iterdir():
                    if other.name.startswith("journal") or other.is_dir():
                        shutil.rmtree(other) if other.is_dir() else other.unlink()

    def busy(self) -> tuple[tuple[str, int], ...]:
        """What stands where it writes, hidden files too: changes when it begins to write."""
        folders = {self.root / p.parent for p in self.outputs}
        folders |= {f / ".resume" for f in folders}
        found = []
        for folder in folders:
            try:
                with os.scandir(folder) as entries:
                    found += [(entry.name, entry.stat().st_size) for entry in entries]
            except OSError:
                continue
        return tuple(sorted(found))


WITHOUT_LOCKS = (
    "import os, sys; from tests.support.refusing import refuse_locks; refuse_locks(); "
    "os.chdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
)


def record(root: Path, wide: bool = False, timeout: float = 1500) -> list[Job]:
    """Run every rule once; the jobs in their order. The files are kept in `reference` too.

    The system refuses every lock to this run, as some network file systems do.
    """
    made = every_rule(root, wide)
    (root / "originals").mkdir()
    (root / "run_job.py").write_text(RUN)
    for script in sorted((root / "scripts").glob("*.py")):
        shutil.copy2(script, root / "originals" / script.name)
        script.write_text(NOTE.format(original=script.read_text()))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOCKS, str(root), *made.command(*TARGETS)],
        cwd=ROOT, env=made.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    for part in ("results", "data"):
        shutil.copytree(root / part, root / "reference" / part, symlinks=True)
    return recorded(root)


def recorded(root: Path) -> list[Job]:
    """The jobs of a run that was recorded."""
    places = sorted((root / "jobs").iterdir())
    return [Job(root, place, pickle.loads(place.read_bytes())) for place in places]


def one_of_each(jobs: list[Job]) -> list[Job]:
    """The first job of each rule; of trainings those of both kinds."""
    found = {
        (j.rule, j.given.wildcards.model if j.rule == "train_model" else ""): j
        for j in reversed(jobs)
    }
    return [job for job in jobs if job in found.values()]


# ---------------------------------------------------------------- killing


@dataclass
class Outcome:
    """What became of a job that was killed: how often, and what was wrong in the end."""

    name: str
    kills: int
    wrong: list[str]


def kill_and_compare(job: Job, kills: int, seed: int) -> Outcome:
    """Kill a job at random moments, as often, then let it end, and compare its files.

    Every other kill falls where files are being written: a moment after something changed in
    the folders of the outputs. After each kill, no output may stand under its name that is
    not whole. Then the job is started again as Snakemake would: its outputs are removed, what
    no rule declares stays.

    Parameters
    ----------
    kills : that must find the job alive. seed : of the moments.
    """
    draw = random.Random(f"{seed} {job.name}")
    lasts = job.seconds
    outcome = Outcome(job.name, 0, [])
    job.forget()
    tries = 0
    while outcome.kills < kills and tries < 6 * kills:
        tries += 1
        job.remove_outputs()
        began, process = time.monotonic(), job.start()
        if tries % 2:
            before, end = job.busy(), time.monotonic() + 4 * lasts
            while process.poll() is None and job.busy() == before and time.monotonic() < end:
                time.sleep(0.0005)
            time.sleep(draw.choice([0, draw.uniform(0, 0.03), draw.uniform(0, 0.3 * lasts)]))
        else:
            time.sleep(draw.uniform(0.2, 1.0) * lasts)
        killed = process.poll() is None
        with contextlib.suppress(ProcessLookupError):  # it just ended
            if draw.random() < 0.5:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
        if process.returncode == -signal.SIGKILL:
            outcome.kills += 1
        else:
            lasts = min(lasts, time.monotonic() - began)
        if process.returncode not in (0, -signal.SIGKILL):
            outcome.wrong.append(f"status {process.returncode}: {said}")
        assert killed or process.returncode != -signal.SIGKILL
        for path in job.outputs:
            if (job.root / path).exists() and path.name != "history.csv":
                outcome.wrong += [f"after a kill: {w}" for w in difference(job.root, path)]
    job.remove_outputs()
    try:
        finished(job)
        outcome.wrong += different(job)
        outcome.wrong += [f"left over: {p}" for p in leftovers(job)]
    except AssertionError as error:
        outcome.wrong.append(str(error))
    restore(job)
    return outcome


def finished(job: Job) -> None:
    """Run a job to its end."""
    process = job.start()
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, f"{job.name}: status {process.returncode}: {said}"


def restore(job: Job) -> None:
    """Put the files of the first run back: later jobs read them."""
    for path in job.outputs:
        (job.root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(job.root / "reference" / path, job.root / path)


def leftovers(job: Job) -> list[Path]:
    """Parts of files, and states of trainings, that a finished job should have taken away."""
    folders = {job.root / path.parent for path in job.outputs}
    return [p for f in folders for p in f.iterdir() if ".part" in p.name or p.name == ".resume"]


# ---------------------------------------------------------------- refusing


def refuse_and_compare(job: Job, disk: Path, what: str) -> Outcome:
    """Run a job on a full or a read-only disk, then on one with room, and compare its files.

    It has to end with a sentence, not with a traceback; an output that stands under its name is whole.

    Parameters
    ----------
    disk : where a file system of its own is mounted; the job's folder is in it.
    what : `full` or `read-only`.
    """
    outcome = Outcome(job.name, 0, [])
    job.forget()
    balloon = disk / "balloon"
    if what == "full":
        with contextlib.suppress(OSError), balloon.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        with contextlib.suppress(OSError), balloon.open("ab", buffering=0) as file:
            while file.write(b"0"):
                pass
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    process = job.start()
    _, said = process.communicate(timeout=600)
    if what == "full":
        balloon.unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    words = "no space" if what == "full" else "read-only file system"
    told = [line for line in said.splitlines() if words in line.lower()]
    if process.returncode != 1 or not told or "Traceback" in said:
        outcome.wrong.append(f"status {process.returncode}: {said}")
    for path in job.outputs:
        if (job.root / path).exists() and path.name != "history.csv":
            outcome.wrong += [f"on a {what} disk: {w}" for w in difference(job.root, path)]
    job.remove_outputs()
    finished(job)
    outcome.wrong += different(job) + [f"left over: {p}" for p in leftovers(job)]
    restore(job)
    return outcome


def refuse_all(root: Path, tried: dict[str, list[str]]) -> list[Outcome]:
    """The first job of each rule on a full or a read-only disk; in a mount name space of one's own.

    Parameters
    ----------
    root : of a recorded run; it is copied. tried : the rules by `full` and `read-only`.
    """
    held = sum(p.lstat().st_size + 4096 for p in root.rglob("*"))
    copy = root.parent / f"{root.name}-copy"
    copy.mkdir()
    options = f"size={held // 1_000_000 + 30}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(copy)], check=True)
    shutil.copytree(root, copy, dirs_exist_ok=True, symlinks=True)
    subprocess.run(["mount", "--bind", str(copy), str(root)], check=True)
    first = one_of_each(recorded(root))
    return [
        refuse_and_compare(job, root, what)
        for what, rules in tried.items()
        for job in first
        if job.rule in rules
    ]


# ---------------------------------------------------------------- comparing


def different(job: Job) -> list[str]:
    return [said for path in job.outputs for said in difference(job.root, path)]


def difference(root: Path, path: Path) -> list[str]:
    """What a file says otherwise than that of the first run; seconds and dates aside."""
    ours, theirs = root / path, root / "reference" / path
    try:
        equal = COMPARE.get(path.suffix, _bytes)
        return [] if equal(ours, theirs) else [f"{path} differs"]
    except Exception as error:  # a file that cannot be read is the finding
        return [f"{path}: {error!r}"]


def _bytes(a: Path, b: Path) -> bool:
    return a.read_bytes() == b.read_bytes()


def _parquet(a: Path, b: Path) -> bool:
    # The disk that is filled has a copy of the pictures: of other inodes.
    one, two = (
        t.select([c for c in t.column_names if c != "inode"])
        for t in (pq.read_table(a), pq.read_table(b))
    )
    meta = [json.loads((t.schema.metadata or {}).get(b"darkroom", b"{}")) for t in (one, two)]
    for m in meta:
        m.pop("seconds", None)
    return bool(one.equals(two)) and meta[0] == meta[1]


def _csv(a: Path, b: Path) -> bool:
    tables = []
    for path in (a, b):
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        tables.append([{k: v for k, v in row.items() if k != "seconds"} for row in rows])
    return tables[0] == tables[1]


def _json(a: Path, b: Path) -> bool:
    one, two = (_timeless(json.loads(p.read_text())) for p in (a, b))
    return bool(one == two)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _timeless(v) for k, v in value.items() if k not in ("seconds", "date", "retrieved")
        }
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def _keras(a: Path, b: Path) -> bool:
    arrays: list[dict[str, np.ndarray]] = []
    plain: list[bytes] = []
    for path in (a, b):
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None
            plain.append(file.read("darkroom.json"))
            with h5py.File(io.BytesIO(file.read("model.weights.h5"))) as weights:
                found: dict[str, np.ndarray] = {}
                weights.visititems(
                    lambda name, v, found=found: (
                        found.update({name: v[()]}) if isinstance(v, h5py.Dataset) else None
                    )
                )
                arrays.append(found)
    one, two = arrays
    return (
        plain[0] == plain[1]
        and one.keys() == two.keys()
        and all(np.array_equal(one[k], two[k]) for k in one)
    )


def _skops(a: Path, b: Path) -> bool:
    """Its numbers; names of its members are drawn anew each time."""
    contents = []
    for path in (a, b):
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None
            names = [n for n in file.namelist() if n != "schema.json"]
            contents.append(sorted(file.read(name) for name in names))
    return contents[0] == contents[1]


def _html(a: Path, b: Path) -> bool:
    return all(p.read_text().rstrip().endswith("</html>") for p in (a, b))


COMPARE = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
    ".keras": _keras,
    ".skops": _skops,
    ".html": _html,
}


if __name__ == "__main__":  # in a name space of its own, started by `unshare`: root, what is tried
    for found in refuse_all(Path(sys.argv[1]), json.loads(sys.argv[2])):
        print(json.dumps([found.name, found.wrong]), flush=True)
