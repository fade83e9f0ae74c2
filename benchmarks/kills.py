"""Every stage killed many times, and refused by a full disk; its files compared with an undisturbed run's.

A small run has a job of every rule, those of shards too. Each is run again as a process of its own, killed at
random moments (every other one just after it began to write), started again as Snakemake
would, and in the end its files are compared with those of the first run: arrays and tables
to the bit, seconds and dates aside. `--full-disk` then gives each job a disk with no byte
free. There is no peer: the figure is how many kills there were, and what differs.

    python -m benchmarks.kills --kills 20 --full-disk
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import jobs
from tests.support.refusing import UNSHARE, why_no_mounts

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed here")
    parser.add_argument("--kills", type=int, default=5, help="of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", action="store_true", help="all jobs, not one of each rule")
    parser.add_argument("--rules", nargs="+", help="jobs of these alone; unset: of all")
    parser.add_argument("--narrow", action="store_true", help="the smaller run of the tests")
    parser.add_argument("--full-disk", action="store_true", help="also (needs leave to mount)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "run"
        root.mkdir()
        found = jobs.record(root, wide=not asked.narrow)
        print("| job | kills | seconds | otherwise than undisturbed |\n|---|--:|--:|---|")
        kills, wrong = 0, 0
        chosen = found if asked.every else jobs.one_of_each(found)
        chosen = [job for job in chosen if not asked.rules or job.rule in asked.rules]
        for job in chosen:
            start = time.monotonic()
            outcome = jobs.kill_and_compare(job, asked.kills, asked.seed)
            kills, wrong = kills + outcome.kills, wrong + len(outcome.wrong)
            said = "; ".join(outcome.wrong) or "nothing"
            print(
                f"| {job.name} | {outcome.kills} | {time.monotonic() - start:.0f} | {said} |",
                flush=True,
            )
        print(f"\n{kills} kills of {len(chosen)} jobs; {wrong} differences", flush=True)
        if asked.full_disk:
            if why_no_mounts():
                sys.exit(f"no file system may be mounted here: {why_no_mounts()}")
            done = subprocess.run(
                [*UNSHARE, sys.executable, "-m", "tests.support.jobs", str(root), "full", *(asked.rules or [])],
                cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            tried = [json.loads(line) for line in done.stdout.splitlines()]
            for job_name, differs in tried:
                if differs:
                    print(f"on a full disk: {job_name}: {'; '.join(differs)}")
            bad = sum(bool(d) for _, d in tried)
            print(
                f"{len(tried)} jobs on a full disk: {bad} without a sentence or with other files after"
            )


if __name__ == "__main__":
    main()
