"""What each job asks Snakemake, and so a cluster's scheduler, for: `mem_mb`, `runtime`, `disk_mb`, `gpu`.

A scheduler reserves so much and ends a job that takes more, so a second attempt asks for twice
as much, and a third and all after it for four times. `runtime` has room for a machine of a fifth
of the speed. Resources are no settings: another forecast reruns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from darkroom.config.settings import Settings
from darkroom.errors import UserError
from darkroom.machine import gpus
from darkroom.workflow.calls import called
from darkroom.workflow.needs import Job, Need
from darkroom.workflow.size import size_of
from darkroom.workflow.stages import STAGES

# Beside a job's own memory: the two Snakemake processes that a cluster's job starts it from.
AROUND_MB = 400
# A job may take so many times its forecast; and what is always there: a slow start from a
# network file system, for one.
MEMORY_MARGIN, TIME_MARGIN, LEAST_MINUTES = 1.25, 5.0, 10
# Attempts that each ask for twice as much: more would soon ask for more than any node has.
GROWING = 3


class JobResources:
    """The resources of a stage's jobs, as a rule takes them: `**resources("train_model")`.

    Parameters
    ----------
    settings : of the run.
    gpus : of a job that trains a network.
    given : whether a profile gives such jobs GPUs, whatever `gpus` says.
    folder : of the run's data/ and results/.
    ask : whether the memory and time of a job decide anything, so that Keras is asked for them.
    """

    def __init__(
        self,
        settings: Settings,
        gpus: int,
        given: bool = False,
        folder: Path = Path(),
        ask: bool = True,
    ) -> None:
        self.gpus = {"all": gpus, "one": min(1, gpus), "hidden": 0}
        on_gpu = gpus > 0 or given

        @lru_cache(maxsize=1)  # one job is asked for each of its resources in turn
        def forecast(stage: str, wildcards: tuple[tuple[str, str], ...], cores: int) -> Need:
            return need(settings, stage, dict(wildcards), cores, on_gpu, folder, ask)

        self.forecast = forecast

    def __call__(self, stage: str) -> dict[str, Callable[..., int] | int]:
        """By name: functions that Snakemake calls when a job is ready, and GPUs."""

        def function(ask: Callable[[Need, int], int]) -> Callable[..., int]:
            def resource(wildcards: Any, threads: int, attempt: int) -> int:
                return ask(self.forecast(stage, tuple(wildcards.items()), threads), attempt)

            return called(resource)

        gpus = STAGES[stage].gpus
        amounts = {ask.__name__: function(ask) for ask in (mem_mb, runtime, disk_mb)}
        return {**amounts, **({"gpu": self.gpus[gpus]} if gpus else {})}


def need(
    settings: Settings,
    stage: str,
    wildcards: Mapping[str, str],
    cores: int = 1,
    gpu: bool = False,
    folder: Path = Path(),
    ask: bool = True,
) -> Need:
    """Forecast of one job, without any margin.

    Parameters
    ----------
    settings : of the run.
    stage : the job's rule.
    wildcards : of its output, e.g. `dataset`, `model`, `view`.
    cores : that it runs on.
    gpu : whether it runs a network on a GPU.
    folder : of the run's data/ and results/.
    ask : as `Job` has it.
    """
    return STAGES[stage].needs(Job(settings, wildcards, max(1, cores), gpu, folder, ask))


def mem_mb(need: Need, attempt: int = 1) -> int:
    """Memory to ask for, in MB: with room, in whole hundreds, doubled with an attempt."""
    return math.ceil((need.memory * MEMORY_MARGIN + AROUND_MB) / 100) * 100 * _times(attempt)


def runtime(need: Need, attempt: int = 1) -> int:
    """Time to ask for, in minutes: with room, doubled with an attempt."""
    minutes = LEAST_MINUTES + math.ceil(need.seconds * TIME_MARGIN / 60)
    return minutes * _times(attempt)


def disk_mb(need: Need, attempt: int = 1) -> int:
    """Room for what a job writes, in MB, twice: beside its place and in it; doubled with an attempt."""
    return (math.ceil(need.disk * 2) + 1000) * _times(attempt)


def _times(attempt: int) -> int:
    return 1 << min(attempt, GROWING) - 1


def shards_that_pay(
    settings: Settings, dataset: str, folder: Path = Path()
) -> tuple[int, float] | None:
    """Shards of about a quarter of an hour each, where one job indexes or prepares for hours.

    Returns
    -------
    How many, and the seconds that one job takes; None where shards gain little or are set.
    """
    if settings.datasets[dataset].shards > 1:
        return None
    jobs = [
        ("index_files", {}),
        *(("prepare_images", {"view": v}) for v in settings.views_of(dataset)),
    ]
    longest = max(
        need(settings, stage, {"dataset": dataset, **own}, settings.threads, folder=folder).seconds
        for stage, own in jobs
    )
    return (min(500, math.ceil(longest / 900)), longest) if longest > 7200 else None


def small(settings: Settings, folder: Path = Path()) -> bool:
    """Whether tables and reports of all data sets in `run` are work for the submitting host.

    A few seconds and little memory: less than a cluster takes to start a job. Not of a data set
    whose size is still to be found out.
    """
    for dataset in settings.run.datasets:
        if size_of(settings, dataset, folder).known == "assumed":
            return False
        for stage in ("find_copies", "split_rows", "evaluate_dataset", "write_report"):
            needed = need(settings, stage, {"dataset": dataset}, folder=folder)
            if needed.seconds > 60 or needed.memory > 2000:
                return False
    return True


# ---------------------------------------------------------------- GPUs


def gpus_of_a_job(setting: int | Literal["auto"]) -> int:
    """GPUs that a training job asks for: the setting, or 1 where this machine has a GPU."""
    return int(gpus.likely()) if setting == "auto" else setting


def gpu_slots(settings: Settings, each: int) -> int:
    """How much of the resource `gpu` this machine has: its GPUs times the jobs that share one.

    Parameters
    ----------
    settings : of the run.
    each : GPUs that a job takes, 1 or more.

    Raises
    ------
    UserError
        A job asks for more GPUs than there are, though there are some.
    """
    found = gpus.found()
    if 0 < len(found) < each:
        raise UserError(gpus.too_few(each, found))
    # GPUs that cannot be listed are for one job at a time; the job says so if there are none.
    return (len(found) or each) * settings.jobs_per_gpu
