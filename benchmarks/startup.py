"""Start-up: a run with nothing to do, and a dry run, by the number of jobs in the graph.

The peer is plain Snakemake on a graph of as many jobs of the same form, in rules with
only input, output and one parameter (for parameters Snakemake imports pandas if installed):
the difference is the cost of checked settings, code digests and resources. Both are whole
processes; CPU seconds include children, and are more reliable on a shared machine. The growth
is that of CPU seconds per job from the smallest to the largest graph: 1 is linear, less is
better.

    python -m benchmarks.startup --jobs 100 300 1000 3000
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("Snakefile", "config.yaml", "darkroom", "rules", "scripts", "profiles", "report", "envs")
FOLDS = 5
SMALL: dict[str, Any] = {
    "run": {"datasets": ["digits"], "models": ["tiny"], "classifiers": ["logistic_regression"]},
    "models": {
        "tiny": {"layers": [{"conv": 4}, {"pool": 2}, "flatten"], "epochs": 1, "seeds": [0]}
    },
}
PLAIN = """
rule all:
    input:
        expand("plain/{fold}/{model}/{kind}.predictions", fold=range(FOLDS), model=range(MODELS), kind=["head", "svm"]),
rule split:
    output: "plain/splits"
    params: cfg="split"
    shell: "mkdir -p plain && touch {output}"
rule train:
    input: "plain/splits"
    output: "plain/{fold}/{model}/model"
    params: cfg="train"
    shell: "touch {output}"
rule features:
    input: "plain/{fold}/{model}/model"
    output: "plain/{fold}/{model}/features", "plain/{fold}/{model}/head.predictions"
    params: cfg="features"
    shell: "touch {output}"
rule fit:
    input: "plain/{fold}/{model}/features"
    output: "plain/{fold}/{model}/svm.predictions"
    params: cfg="fit"
    shell: "touch {output}"
"""


class Taken(NamedTuple):
    """Medians of whole processes: wall and CPU seconds."""

    wall: float
    cpu: float


def taken(command: list[str], folder: Path, runs: int) -> Taken:
    """Time a command repeatedly, after one warm-up."""
    walls, cpus = [], []
    for _ in range(runs + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return Taken(statistics.median(walls[1:]), statistics.median(cpus[1:]))


def many(models: int) -> dict[str, Any]:
    """The configuration of a number of models in five folds, with one classifier on each."""
    named = {f"m{i}": SMALL["models"]["tiny"] for i in range(models)}
    return SMALL | {
        "models": named,
        "run": SMALL["run"] | {"models": list(named)},
        "datasets": {"digits": {"split": {"folds": FOLDS}}},
    }


def pretend(snakemake: list[str], configfile: str, folder: Path) -> None:
    """Create the missing files of a graph, empty, with Snakemake's records of them."""
    command = [*snakemake, "--summary", "--configfile", configfile]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        path = folder / line.split("\t")[0]
        if "/" in line.split("\t")[0] and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    touch = [*snakemake, "--touch", "--configfile", configfile]
    subprocess.run(touch, cwd=folder, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="ignored")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 300, 1000, 3000])
    args = parser.parse_args()
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "all"]
    bare = [*snakemake, "-s", "plain.smk", "--workflow-profile", "none"]
    small = [*snakemake, "--configfile", "small.yaml"]
    rows: list[tuple[str, int, Taken, Taken]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in PARTS:
            (folder / part).symlink_to(ROOT / part)
        (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
        plain = folder / "plain.smk"
        plain.write_text("FOLDS, MODELS = 1, 1\n" + PLAIN)
        subprocess.run(small, cwd=folder, check=True, capture_output=True)
        subprocess.run(bare, cwd=folder, check=True, capture_output=True)
        rows.append(
            ("nothing to do", 11, taken(small, folder, args.runs), taken(bare, folder, args.runs))
        )
        for jobs in sorted(args.jobs):
            models = max(1, round(jobs / 3 / FOLDS))
            configfile = f"many{models}.yaml"
            (folder / configfile).write_text(yaml.safe_dump(many(models)))
            plain.write_text(f"FOLDS, MODELS = {FOLDS}, {models}\n" + PLAIN)
            ours = [*snakemake, "--configfile", configfile]
            for what, more in (("dry run", ["--forceall", "-n"]), ("nothing to do", [])):
                if what == "nothing to do":
                    pretend(snakemake, configfile, folder)
                    subprocess.run([*bare, "--touch"], cwd=folder, capture_output=True)
                    subprocess.run(bare, cwd=folder, check=True, capture_output=True)
                rows.append(
                    (
                        what,
                        3 * FOLDS * models + 8,
                        taken([*ours, *more], folder, args.runs),
                        taken([*bare, *more], folder, args.runs),
                    )
                )
    print("| run | jobs | Darkroom, s | CPU s | plain Snakemake, s | CPU s | ratio of CPU |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for what, jobs, ours_, peer in rows:
        print(
            f"| {what} | {jobs:,} | {ours_.wall:.2f} | {ours_.cpu:.2f} | {peer.wall:.2f} |"
            f" {peer.cpu:.2f} | {ours_.cpu / peer.cpu:.2f} |"
        )
    for what in ("dry run", "nothing to do"):
        own = [(jobs, t.cpu) for w, jobs, t, _ in rows if w == what and jobs > 11]
        if len(own) > 1:
            (least, fewer), (most, more_) = own[0], own[-1]
            print(f"growth, {what}: {(more_ / most) / (fewer / least):.2f} (linear: 1)")


if __name__ == "__main__":
    main()
