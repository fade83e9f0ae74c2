"""Start-up: a run with nothing to do, and the dry run of 1,000 pairs of model and fold.

The peer is plain Snakemake on a graph of the same number of jobs, in rules with nothing
but input and output: what is left is the price of checked settings and code digests.

    python -m benchmarks.startup
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SMALL: dict[str, Any] = {
    "run": {"datasets": ["digits"], "models": ["tiny"], "classifiers": ["logistic_regression"]},
    "models": {
        "tiny": {"layers": [{"conv": 4}, {"pool": 2}, "flatten"], "epochs": 1, "seeds": [0]}
    },
    "evaluate": {"bootstrap": 10},
}
PLAIN = """
rule all:
    input:
        expand("plain/{fold}/{model}/{kind}.predictions", fold=range(FOLDS), model=range(MODELS), kind=["head", "svm"]),
rule split:
    output: "plain/splits"
    shell: "mkdir -p plain && touch {output}"
rule train:
    input: "plain/splits"
    output: "plain/{fold}/{model}/model"
    shell: "touch {output}"
rule features:
    input: "plain/{fold}/{model}/model"
    output: "plain/{fold}/{model}/features", "plain/{fold}/{model}/head.predictions"
    shell: "touch {output}"
rule fit:
    input: "plain/{fold}/{model}/features"
    output: "plain/{fold}/{model}/svm.predictions"
    shell: "touch {output}"
"""


def seconds(command: list[str], folder: Path, runs: int = 5) -> float:
    """Median wall time of whole processes, after one warm-up."""
    taken = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed here")
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "all"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (
            "Snakefile",
            "config.yaml",
            "darkroom",
            "rules",
            "scripts",
            "profiles",
            "report",
            "envs",
        ):
            (folder / part).symlink_to(ROOT / part)
        (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
        models = {f"m{i}": SMALL["models"]["tiny"] for i in range(200)}
        many = SMALL | {
            "models": models,
            "run": SMALL["run"] | {"models": list(models)},
            "datasets": {"digits": {"split": {"folds": 5}}},
        }
        (folder / "many.yaml").write_text(yaml.safe_dump(many))
        plain = folder / "plain.smk"
        bare = ["-s", "plain.smk", "--workflow-profile", "none"]

        plain.write_text("FOLDS, MODELS = 1, 1\n" + PLAIN)
        subprocess.run(
            [*snakemake, "--configfile", "small.yaml"], cwd=folder, check=True, capture_output=True
        )
        subprocess.run([*snakemake, *bare], cwd=folder, check=True, capture_output=True)
        rows = [
            (
                "a run with nothing to do",
                seconds([*snakemake, "--configfile", "small.yaml"], folder, runs),
                seconds([*snakemake, *bare], folder, runs),
            )
        ]
        plain.write_text("FOLDS, MODELS = 5, 200\n" + PLAIN)
        rows.append(
            (
                "dry run of 1,000 pairs of model and fold",
                seconds([*snakemake, "-n", "--configfile", "many.yaml"], folder, runs),
                seconds([*snakemake, "-n", *bare], folder, runs),
            )
        )
    print("| start-up | Darkroom, s | plain Snakemake, s | ratio |\n|---|---|---|---|")
    for what, ours, peer in rows:
        print(f"| {what} | {ours:.2f} | {peer:.2f} | {ours / peer:.2f} |")


if __name__ == "__main__":
    main()
