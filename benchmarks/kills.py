"""Every stage is killed many times, and run on a full disk; its files equal an undisturbed run's.

A small run has a job of every rule, including those of shards. Each job runs again as a process of
its own, is killed at random moments (every other time just after it began to write) and restarted
as by Snakemake. Its files are then compared with those of the first run: arrays and tables to the
bit, without seconds and dates. `--full-disk` then runs each job on a full disk. There is no peer:
the result is the number of kills, and the differences.

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
    parser.add_argument("--kills", type=int, default=5, help="kills of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", action="store_true", help="all jobs, not one of each rule")
    parser.add_argument("--rules", nargs="+", help="only jobs of these rules")
    parser.add_argument("--narrow", action="store_true", help="the smaller run of the tests")
    parser.add_argument(
        "--full-disk",
        action="store_true",
        help="also run on a full disk (needs permission to mount)",
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "run"
        root.mkdir()
        recorded = jobs.record(root, wide=not args.narrow)
        print("| job | kills | seconds | differences |\n|---|--:|--:|---|")
        kills, wrong = 0, 0
        chosen = recorded if args.every else jobs.one_of_each(recorded)
        chosen = [job for job in chosen if not args.rules or job.rule in args.rules]
        for job in chosen:
            start = time.monotonic()
            outcome = jobs.kill_and_compare(job, args.kills, args.seed)
            kills, wrong = kills + outcome.kills, wrong + len(outcome.wrong)
            differences = "; ".join(outcome.wrong) or "none"
            print(
                f"| {job.name} | {outcome.kills} | {time.monotonic() - start:.0f} | {differences} |",
                flush=True,
            )
        print(f"\n{kills} kills of {len(chosen)} jobs; {wrong} differences", flush=True)
        if args.full_disk:
            if why_no_mounts():
                sys.exit(f"no file system can be mounted here: {why_no_mounts()}")
            tried = json.dumps({"full": sorted({job.rule for job in chosen})})
            done = subprocess.run(
                [*UNSHARE, sys.executable, "-m", "tests.support.jobs", str(root), tried],
                cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            results = [json.loads(line) for line in done.stdout.splitlines()]
            for job_name, differs in results:
                if differs:
                    print(f"on a full disk: {job_name}: {'; '.join(differs)}")
            bad = sum(bool(d) for _, d in results)
            print(
                f"{len(results)} jobs on a full disk: {bad} without a clear error or with other files after"
            )


if __name__ == "__main__":
    main()
