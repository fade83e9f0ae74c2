"""What a run takes from its beginning: the time, memory and disk of all its jobs, by `needs`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from darkroom.config.settings import Settings
from darkroom.workflow.needs import MB
from darkroom.workflow.plan import Job
from darkroom.workflow.resources import need
from darkroom.workflow.stages import STAGES


class Forecast(NamedTuple):
    """What a run takes.

    Attributes
    ----------
    jobs : of each stage.
    seconds : wall time of each stage's jobs.
    largest : the stage whose job takes most memory.
    memory : bytes of that job.
    beside : how many jobs of that stage run side by side.
    disk : bytes written.
    """

    jobs: Counter[str]
    seconds: dict[str, float]
    largest: str
    memory: float
    beside: int
    disk: float


def forecast(
    settings: Settings,
    jobs: Iterable[Job],
    cores: int,
    gpus: int,
    folder: Path = Path(),
    ask: bool = True,
) -> Forecast:
    """What the jobs of a run take. Those of a stage run side by side, one stage after another.

    Parameters
    ----------
    settings : of the run.
    jobs : as `plan` gives them.
    cores, gpus : of the machine.
    folder : of the run's data/ and results/.
    ask : as `needs.Job` has it.
    """
    each = 1 if settings.gpus == "auto" else max(1, settings.gpus)
    slots = gpus * settings.jobs_per_gpu // each
    counts: Counter[str] = Counter()
    shared: defaultdict[str, float] = defaultdict(float)
    longest: defaultdict[str, float] = defaultdict(float)
    written, memory, largest, most = 0.0, 0.0, "", 1
    for job in jobs:
        on_gpu = slots > 0 and STAGES[job.stage].gpus in ("one", "all")
        needed = need(settings, job.stage, job.wildcards, job.threads, on_gpu, folder, ask)
        beside = slots if on_gpu else max(1, cores // job.threads)
        shared[job.stage] += needed.seconds / beside
        longest[job.stage] = max(longest[job.stage], needed.seconds)
        counts[job.stage] += 1
        written += needed.disk * MB
        if needed.memory > memory:
            memory, largest, most = needed.memory, job.stage, beside
    seconds = {stage: max(shared[stage], longest[stage]) for stage in counts}
    return Forecast(counts, seconds, largest, memory * MB, min(most, counts[largest]), written)
