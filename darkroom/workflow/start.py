"""What happens when the Snakefile is read: settings, checks, and what a killed run left."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from darkroom import ROOT
from darkroom.config.compare import merged
from darkroom.config.messages import LOADER, check_keys
from darkroom.config.removed import without_unused
from darkroom.config.settings import Settings
from darkroom.errors import UserError, nearest
from darkroom.machine import disk, process
from darkroom.names import visible
from darkroom.workflow import checks, pretrained, recipe, stale_locks, terminal
from darkroom.workflow.engine import Engine
from darkroom.workflow.plan import PLANNING
from darkroom.workflow.resources import gpu_slots, gpus_of_a_job
from darkroom.workflow.terminal import STOPPED


@dataclass
class Run:
    """A run whose settings are checked.

    Attributes
    ----------
    engine : Snakemake.
    config : the merged configuration.
    settings : the same, typed.
    folder : of data/, results/ and logs/.
    gpus : that a training job asks for.
    alone : whether no other run has this folder.
    began : when, in seconds of the clock.
    """

    engine: Engine
    config: dict[str, Any]
    settings: Settings
    folder: Path
    gpus: int
    alone: bool = False
    began: float = field(default_factory=time.time)

    def begin(self) -> None:
        """Keep the recipe, which the jobs read, and end what a killed run left."""
        if self.settings.chosen is not None and self.engine.shared_disk:
            recipe.keep(self.config, self.folder, self.settings.chosen)
        self.end_leftover_jobs()

    def answer(self) -> None:
        """Show the answers that this run has found."""
        for dataset in self.settings.run.datasets:
            file = self.folder / "results" / dataset / "answer.txt"
            with contextlib.suppress(OSError):
                if file.stat().st_mtime >= self.began:
                    say("\n" + file.read_text(encoding="utf-8").rstrip())

    def end_leftover_jobs(self) -> None:
        """Cancel the jobs that a killed run left with Slurm."""
        if self.alone and (ended := stale_locks.end_leftover_jobs(Path.cwd())):
            say(f"Jobs of that run were still with Slurm, and are cancelled: {', '.join(ended)}")


def say(text: object) -> None:
    """Print a sentence on stderr."""
    print(visible(str(text)), file=sys.stderr)


def start(workflow: Any, config: dict[str, Any]) -> Run:
    """Check the settings, and in the run's own process also what they need.

    Ends the process with a sentence where something is wrong.

    Parameters
    ----------
    workflow, config : as a Snakefile has them. `config` need not hold the defaults: a workflow
        that uses this one as a module gives its own.
    """
    engine = Engine(workflow)
    export_to_jobs(str(ROOT))
    refusals_in_words(engine)
    try:
        return _checked(engine, config)
    except UserError as error:
        say(f"\n{error}")
        sys.exit(1)


def _checked(engine: Engine, config: dict[str, Any]) -> Run:
    file = ROOT / "config.yaml"
    defaults = yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER)
    if engine.of_another:  # which gave its own configuration, without the defaults
        config = merged(defaults, config)
    files = engine.config_files(file)
    if engine.first:
        check_keys(files[1:])
    chosen = recipe.choose(config, defaults, engine.folder, look=engine.shared_disk)
    config, unused = without_unused(recipe.applied(config, defaults, chosen))
    settings = Settings.load(config, files=files, chosen=chosen)
    # A GPU of the login node says nothing of the others: the profile asks for those.
    gpus = gpus_of_a_job(settings.gpus) if engine.local or settings.gpus != "auto" else 0
    run = Run(engine, config, settings, engine.folder, gpus)
    if not engine.first or PLANNING in os.environ:
        return run
    for note in unused:
        say(note)
    if engine.works:
        terminal.quieten(say)
        engine.sample_seldom()
    checks.check_folders(settings, Path.cwd() / run.folder)
    if stale_locks.clear_stale_lock(Path.cwd(), say=say):
        say("The last run here was cut off; going on from what it left.")
    run.alone = stale_locks.alone(Path.cwd())
    checks.check_targets(settings, sys.argv[1:])
    checks.check_sources(settings, say, run.folder)
    checks.check(settings, say, run.folder)
    if not engine.dry:
        pretrained.check(settings, run.folder)
    if engine.local:
        if gpus:  # a cluster counts its own
            engine.offer_gpus(gpu_slots(settings, gpus))
    else:
        checks.check_shards(settings, say, run.folder)
        engine.show_all_threads()
    return run


def export_to_jobs(root: str) -> None:
    """What the jobs' own processes need from this one, on a cluster's nodes too.

    Parameters
    ----------
    root : folder of the project: its scripts import `darkroom` from there.
    """
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ[process.PARENT] = str(os.getpid())
    process.lock_no_arrays()


def refusals_in_words(engine: Engine) -> None:
    """Let Snakemake say in a sentence what it would end with a traceback for.

    A mistake of the user's that a function of a rule finds; a target that there is not; Ctrl-C;
    what the disk refuses: a lock, a job's mark or record.
    """

    stopped = False

    def in_words(record: logging.LogRecord) -> bool:
        nonlocal stopped
        if str(record.msg).startswith("Terminating processes on user request"):
            stopped, record.msg, record.levelno = True, STOPPED, logging.WARNING
            return True
        if stopped and record.levelno >= logging.ERROR:
            return False  # the jobs that were ended
        error = sys.exc_info()[1]
        if error is not None and record.levelno >= logging.ERROR:
            said = sentence(error, engine)
            if said is not None:
                record.msg, record.args = visible(said), ()
        return True

    logging.getLogger("snakemake.logging").addFilter(in_words)


def sentence(error: BaseException, engine: Engine) -> str | None:
    """What Snakemake says of an error that ends a run; None where its own words are to stand."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
        if before in chain:
            break
        chain.append(before)
    if any(isinstance(one, KeyboardInterrupt) for one in chain):
        return STOPPED
    for one in chain:
        if isinstance(one, UserError):
            return str(one)
    # What `calls.in_words` raised; Snakemake loses which error it came from.
    message = re.match(r"Error:\n  WorkflowError:\n(.*?)\nWildcards:", str(error), re.S)
    if message:
        return textwrap.dedent(message[1])
    missing = re.match(r"No rule to produce (\S+)", str(error))
    if missing:
        name, targets = missing[1], engine.targets
        near = nearest(name, targets + engine.files)
        known = f"; targets: {', '.join(targets)}" if "did you mean" in near else ""
        return f"there is no target {name}{near}{known}"
    return disk.in_words(error, [str(Path.cwd()), str(Path.cwd() / ".snakemake")])
