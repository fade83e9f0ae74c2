"""How many threads a job asks for, so that the jobs of a run share the cores well.

Two small trainings side by side on a core each finish sooner than one after the other on
two: on 12-pixel digits a second thread gains nothing (measured: 19 s of wall and of CPU
time alike). A large one gains nearly all of it.
"""

from __future__ import annotations

from functools import cached_property

from darkroom.classify import cost
from darkroom.config.model import Layer
from darkroom.config.settings import Settings
from darkroom.workflow.arithmetic import embedding, multiplications
from darkroom.workflow.calls import Wildcards, called

# Multiplications of one batch, forward, that keep a thread busy.
WORTH_A_THREAD = 5e8


@called
class Threads:
    """Thread functions of the rules: each takes the wildcards of a job.

    Parameters
    ----------
    settings : of the run.
    cores : of this machine's run; None on a cluster, where each job has a place of its own.
    """

    def __init__(self, settings: Settings, cores: int | None) -> None:
        self.settings, self.cores = settings, cores

    def training(self, wildcards: Wildcards) -> int:
        """Of a training or a trial of one."""
        return of_network(self.settings, wildcards.dataset, wildcards.model, training=True)

    def extraction(self, wildcards: Wildcards) -> int:
        """Of the extraction of a network's features."""
        return of_network(self.settings, wildcards.dataset, wildcards.model, training=False)

    def fit(self, wildcards: Wildcards) -> int:
        """Of a fit of a classifier: the cores are shared among all fits of the run by their work."""
        work = work_of_fit(self.settings, wildcards.classifier)
        return of_share(work, max(work, self._fits), self.cores, self.settings.threads)

    @cached_property
    def _fits(self) -> float:
        return work_of_fits(self.settings)


def of_training(layers: list[Layer], shape: tuple[int, int, int], batch: int, most: int) -> int:
    """Threads for training or running a network.

    Parameters
    ----------
    layers : of the model.
    shape : (height, width, channels) of its images.
    batch : images a step.
    most : upper bound.
    """
    return max(1, min(most, round(multiplications(layers, shape) * batch / WORTH_A_THREAD)))


def of_network(settings: Settings, dataset: str, name: str, *, training: bool) -> int:
    """Threads for training a model of the settings, or for running it: all where a backbone runs.

    Parameters
    ----------
    training : else its features are extracted.
    """
    model = settings.models[name]
    shape = settings.view_of(dataset, name).shape
    if model.backbone is not None:
        if model.fine_tune is not None or (training and model.augment.changes):
            return settings.threads
        shape = embedding(shape, settings.features[model.backbone].pool)
    return of_training(model.layers, shape, model.batch, settings.threads)


def of_share(work: float, total: float, cores: int | None, most: int) -> int:
    """Threads for one of several jobs that can run side by side: its share of all their work.

    A long job gets most cores and short ones fill the rest, so none runs on one core to
    the end while the others idle (a forest of 100 s beside an SVM of 6 s: 104 s
    on a core each, 58 s so).

    Parameters
    ----------
    work : of the job.
    total : of all of them.
    cores : of this machine's run; None on a
    cluster, where each job has a place of its own.
    most : upper bound.
    """
    if cores is None:
        return most
    return max(1, min(most, cores, round(cores * work / total)))


def work_of_fit(settings: Settings, name: str) -> float:
    """Work of one fit of a classifier of the settings."""
    given = settings.classifiers[name]
    return cost.work(given.kind, given.settings, given.max_rows)


def work_of_fits(settings: Settings) -> float:
    """Work of all fits of the data sets in `run`."""
    total = 0.0
    for dataset in settings.run.datasets:
        work = sum(work_of_fit(settings, name) for _, name in settings.fits_of(dataset))
        total += len(settings.folds_of(dataset)) * work
    return total
