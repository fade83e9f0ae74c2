"""PBS, SGE and Slurm by their own commands: what profiles/generic calls to submit a job and to ask about it.

    python -m darkroom.workflow.schedulers pbs submit --threads 4 --memory 8000 --minutes 60 --gpus 1 JOBSCRIPT
    python -m darkroom.workflow.schedulers pbs status NUMBER

Schedulers say in as many ways how a job ended, and forget it at different times. So a job writes
its exit status into a file itself, and the scheduler is only asked whether it still knows the job:
one that it does not know and that wrote nothing was killed. Standard library only.

Account and queues are those of the environment: DARKROOM_ACCOUNT, DARKROOM_PARTITION (the
queue), DARKROOM_GPU_PARTITION (the queue of jobs with a GPU); DARKROOM_SUBMIT_OPTIONS adds words
to each submission.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOBS = Path(".snakemake") / "darkroom-jobs"
# A network file system may show the status of an ended job so many seconds late.
GRACE = 60.0

SCRIPT = """#!/bin/sh
cd {folder} || exit 1
sh {jobscript}
status=$?
echo $status > {exit}.part && mv {exit}.part {exit}
exit $status
"""


@dataclass(frozen=True)
class Scheduler:
    """The commands of a scheduler; words in braces are filled in, those of a GPU or a name only where there is one.

    Attributes
    ----------
    submit : takes a script as its last word.
    number : finds a job's number in what `submit` prints.
    ask : prints what is known of a job.
    gone : what it prints of one that has ended, where it still knows it.
    """

    submit: str
    account: str
    queue: str
    gpu: str
    number: str
    ask: str
    gone: str


SCHEDULERS = {
    "pbs": Scheduler(
        submit="qsub -V -j oe -o {log} -l select=1:ncpus={threads}:mem={memory}mb{gpu} -l walltime={clock}",
        account="-A {name}", queue="-q {name}", gpu=":ngpus={gpus}",
        number=r"^(\d+\S*)", ask="qstat -f {number}", gone=r"job_state = [CFX]",
    ),
    "sge": Scheduler(
        submit="qsub -V -cwd -terse -j y -o {log} -pe smp {threads} -l h_rt={clock} -l h_vmem={memory_a_core}M {gpu}",
        account="-P {name}", queue="-q {name}", gpu="-l gpu={gpus}",
        number=r"^(\d+)", ask="qstat -j {number}", gone=r"do not exist",
    ),
    "slurm": Scheduler(
        submit="sbatch --parsable -o {log} --ntasks=1 --cpus-per-task={threads} --mem={memory} -t {minutes} {gpu}",
        account="-A {name}", queue="-p {name}", gpu="--gpus={gpus}",
        number=r"^(\d+)", ask="squeue -h -o %T -j {number}", gone=r"COMPLETED|FAILED|CANCELLED|TIMEOUT|OUT_OF|^\s*$",
    ),
}  # fmt: skip


def submission(
    scheduler: Scheduler, *, threads: int, memory: int, minutes: int, gpus: int, log: str
) -> list[str]:
    """The words of a submission, without the script.

    Parameters
    ----------
    memory : MB of the whole job.
    minutes : wall time.
    log : file of what the job prints.
    """
    filled: dict[str, Any] = {
        "threads": threads, "memory": memory, "memory_a_core": -(-memory // threads), "log": log,
        "minutes": minutes, "clock": f"{minutes // 60:02}:{minutes % 60:02}:00", "gpus": gpus,
    }  # fmt: skip
    filled["gpu"] = scheduler.gpu.format(gpus=gpus) if gpus else ""
    words: list[str] = []
    for word in scheduler.submit.split():  # a name may have spaces, and stays one word
        words += filled["gpu"].split() if word == "{gpu}" else [word.format(**filled)]
    queue = os.environ.get("DARKROOM_PARTITION")
    if gpus:
        queue = os.environ.get("DARKROOM_GPU_PARTITION") or queue
    for form, name in (
        (scheduler.account, os.environ.get("DARKROOM_ACCOUNT")),
        (scheduler.queue, queue),
    ):
        words += form.format(name=name).split() if name else []
    return words + shlex.split(os.environ.get("DARKROOM_SUBMIT_OPTIONS", ""))


def submit(
    scheduler: Scheduler, jobscript: str, *, threads: int, memory: int, minutes: int, gpus: int
) -> str:
    """Submit Snakemake's script of a job; its number.

    Raises
    ------
    subprocess.CalledProcessError
        The scheduler refuses; its words are on stderr.
    """
    JOBS.mkdir(parents=True, exist_ok=True)
    token = f"{time.time_ns():x}-{os.getpid()}"
    script, log = (JOBS / f"{token}.sh").absolute(), (JOBS / f"{token}.log").absolute()
    script.write_text(
        SCRIPT.format(
            folder=shlex.quote(str(Path.cwd())),
            jobscript=shlex.quote(str(Path(jobscript).absolute())),
            exit=shlex.quote(str(script.with_suffix(".exit"))),
        )
    )
    words = submission(
        scheduler, threads=threads, memory=memory, minutes=minutes, gpus=gpus, log=str(log)
    )
    done = subprocess.run(
        [*words, str(script)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = re.search(scheduler.number, done.stdout, flags=re.M)
    if found is None:
        raise SystemExit(f"{words[0]} printed no number of a job: {done.stdout!r}")
    (JOBS / f"{found[1]}.job").write_text(token)
    return found[1]


def status(scheduler: Scheduler, number: str) -> str:
    """`running` (waiting too), `success` or `failed`, which a job that was killed is as well."""
    try:
        token = (JOBS / f"{number}.job").read_text()
    except OSError:  # of another folder or time
        return "failed"
    ended = JOBS / f"{token}.exit"
    gone = JOBS / f"{token}.gone"

    def status() -> str | None:
        return ended.read_text().strip() if ended.exists() else None

    if status() is None:
        done = subprocess.run(
            scheduler.ask.format(number=number).split(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        known = done.returncode == 0 and not re.search(scheduler.gone, done.stdout)
        if known:
            gone.unlink(missing_ok=True)
            return "running"
        if not gone.exists():
            gone.touch()
        if status() is None and time.time() - gone.stat().st_mtime < GRACE:
            return "running"
    return "success" if status() == "0" else "failed"


def main(words: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m darkroom.workflow.schedulers", description=__doc__
    )
    parser.add_argument("scheduler", choices=SCHEDULERS)
    actions = parser.add_subparsers(dest="action", required=True)
    new = actions.add_parser("submit")
    for name in ("threads", "memory", "minutes", "gpus"):
        new.add_argument(f"--{name}", type=int, required=True)
    new.add_argument("jobscript")
    actions.add_parser("status").add_argument("number")
    given = vars(parser.parse_args(words))
    scheduler, action = SCHEDULERS[given.pop("scheduler")], given.pop("action")
    try:
        print(submit(scheduler, **given) if action == "submit" else status(scheduler, **given))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename}: not found here; is this a host that jobs are submitted from?")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{shlex.join(error.cmd)}: refused (status {error.returncode})")


if __name__ == "__main__":
    main()
