"""Snakemake's own objects, where a run needs what the documentation has no name for.

Each property says what it is needed for. A test names the version of Snakemake that they were
looked at in, and fails with another. rules/common.smk uses one more (`hosted_repo`), before this
package can be imported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from snakemake.io import (
    get_wildcard_constraints,
    regex_from_filepattern,
    update_wildcard_constraints,
)

from darkroom import ROOT

BETWEEN_SAMPLES = 2.0
"""Seconds between two looks at the memory of a job's processes, in its first half minute."""


class Engine:
    """The run that reads the Snakefile.

    Parameters
    ----------
    workflow : Snakemake's object of that name in a Snakefile.
    """

    def __init__(self, workflow: Any) -> None:
        self.workflow = workflow

    @property
    def first(self) -> bool:
        """Whether this process is the run itself: each job reads the Snakefile again."""
        return bool(self.workflow.is_main_process)

    @property
    def works(self) -> bool:
        """Whether this run makes files: no dry run. Nor where --verbose asks for Snakemake's words."""
        return not (self.dry or self.workflow.logger_manager.settings.verbose)

    @property
    def dry(self) -> bool:
        """Whether this run only says what it would do."""
        return bool(self.workflow.logger_manager.settings.dryrun)

    @property
    def of_another(self) -> bool:
        """Whether another workflow uses this one, as a module or by an include."""
        return Path(self.workflow.basedir).resolve() != ROOT

    @property
    def folder(self) -> Path:
        """Folder of data/, results/ and logs/: the current one, or below the `prefix` of a module."""
        results = Path(self.workflow.modifier.path_modifier.replace_prefix("results/x"))
        return results.parent.parent

    @property
    def local(self) -> bool:
        """Whether jobs share this machine; not on a cluster (--jobs), where each has a place of its own."""
        return self.workflow.resource_settings.nodes is None and not self.workflow.remote_exec

    @property
    def limits_jobs(self) -> bool:
        """Whether the memory or time of a job decides where or when it runs."""
        limits = self.workflow.resource_settings.resources
        return not self.local or any(n.startswith(("mem", "disk", "runtime")) for n in limits)

    @property
    def cores(self) -> int | None:
        """Cores of this run, as --cores says."""
        cores: int | None = self.workflow.resource_settings.cores
        return cores

    @property
    def shared_disk(self) -> bool:
        """Whether all jobs see the same files; not with --default-storage-provider."""
        return self.workflow.storage_settings.default_storage_provider is None

    def config_files(self, defaults: Path) -> list[str]:
        """The files that the configuration was merged from, in the order of merging.

        Parameters
        ----------
        defaults : config.yaml of the project.
        """
        named = [str(file) for file in self.workflow.overwrite_configfiles]
        own = [str(file) for file in self.workflow.configfiles]
        return list(dict.fromkeys([str(defaults), *(f for f in own if f not in named), *named]))

    @property
    def targets(self) -> list[str]:
        """Rules that can be asked for by their names."""
        return [rule.name for rule in self.workflow.rules if not rule.has_wildcards()]

    @property
    def files(self) -> list[str]:
        """Files that rules make, with their wildcards in braces."""
        made = [str(file) for rule in self.workflow.rules for file in rule.output]
        return [re.sub(r",[^{}]*\}", "}", file) for file in made]  # without what wildcards may be

    def gpus_of_profile(self, rule: str) -> bool:
        """Whether a profile or --set-resources gives a rule GPUs: more memory is asked for then."""
        given = self.workflow.resource_settings.overwrite_resources.get(rule, {})
        return "gpu" in given and str(getattr(given["gpu"], "raw", given["gpu"])) != "0"

    def sample_seldom(self) -> None:
        """Look at the memory of processes every two seconds for the benchmark files, not every half.

        A look reads the memory maps of Snakemake and of all jobs, 25 ms of CPU: two jobs side by side
        would take a tenth of a core.
        """
        from snakemake import benchmark

        benchmark.BENCHMARK_INTERVAL_SHORT = BETWEEN_SAMPLES

    def offer_gpus(self, count: int) -> None:
        """Let so many GPUs be used at once, unless --resources says how many."""
        if "gpu" not in self.workflow.global_resources:
            self.workflow.global_resources["gpu"] = count

    def show_all_threads(self) -> None:
        """Let a cluster's dry run show the threads of a job: it counts one core, where none are named."""
        if self.cores == 1:
            self.workflow.global_resources["_cores"] = None

    def constrain_stored_files(self) -> None:
        """Let files in storage know what their wildcards may be: Snakemake forgets it of them.

        The storage makes a file's path anew, of a name without constraints. Without them
        `results/{dataset}/predictions.parquet` is whatever ends so, and two rules make one file.
        """
        for rule in self.workflow.rules:
            for file in rule.products():
                if not file.is_callable() and file.is_storage:
                    pattern = update_wildcard_constraints(
                        str(file), rule.wildcard_constraints, self.workflow.wildcard_constraints
                    )
                    file._regex = re.compile(regex_from_filepattern(pattern))
                    file._wildcard_constraints = get_wildcard_constraints(pattern)
