"""The stages of the pipeline, in the order of the data.

A stage has one name: its rule in `rules/`, `scripts/{name}.py`, `config.stages.{name}`, its
lines on the terminal and its benchmark files have it. A new stage is a line here, a rule, a
script, its settings and its code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from darkroom.workflow import needs
from darkroom.workflow.needs import Job, Need


class Stage(NamedTuple):
    """What a stage runs with.

    Attributes
    ----------
    environment : the conda environment of its jobs, `envs/{environment}.yaml`.
    needs : forecasts memory, time and disk of a job.
    gpus : GPUs of a job: as many as the settings say, or one of them. `hidden`: it loads a
        framework, which must not touch the GPU of another job. None: it loads none.
    """

    environment: Literal["data", "train", "classic", "predict"]
    needs: Callable[[Job], Need]
    gpus: Literal["all", "one", "hidden"] | None = None

    @property
    def conda(self) -> str:
        """Path of the environment, as a rule file names it."""
        return f"../envs/{self.environment}.yaml"


STAGES = {
    "download_source": Stage("data", needs.download),
    "download_weights": Stage("train", needs.weights, "hidden"),
    "index_files": Stage("data", needs.index),
    "list_files": Stage("data", needs.listing),
    "index_shard": Stage("data", needs.of_a_shard(needs.index)),
    "join_index": Stage("data", needs.join_index),
    "check_files": Stage("data", needs.tables),
    "find_copies": Stage("classic", needs.copies),
    "split_rows": Stage("data", needs.tables),
    "prepare_images": Stage("data", needs.prepare),
    "prepare_shard": Stage("data", needs.of_a_shard(needs.prepare)),
    "join_images": Stage("data", needs.join),
    "augment_images": Stage("data", needs.augment),
    "embed_images": Stage("train", needs.embed, "one"),
    "try_model": Stage("train", needs.train, "all"),
    "try_classifier": Stage("classic", needs.fit),
    "choose_setting": Stage("classic", needs.choose),
    "choose_classifier_setting": Stage("classic", needs.choose),
    "train_model": Stage("train", needs.train, "all"),
    "extract_features": Stage("train", needs.features, "one"),
    "describe_images": Stage("classic", needs.describe),
    "fit_classifier": Stage("classic", needs.fit),
    "evaluate_dataset": Stage("classic", needs.evaluate),
    "audit_dataset": Stage("classic", needs.audit),
    "check_labels": Stage("classic", needs.labels),
    "measure_robustness": Stage("predict", needs.robustness),
    "write_report": Stage("classic", needs.report),
    "write_paper": Stage("classic", needs.report),
    "predict_images": Stage("predict", needs.predict),
    "export_model": Stage("predict", needs.export),
}
