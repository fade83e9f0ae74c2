"""Names of Snakemake's that its documentation does not have."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from darkroom import ROOT
from darkroom.workflow.engine import Engine


def workflow(**over: Any) -> Any:
    given = {
        "basedir": str(ROOT),
        "is_main_process": True,
        "remote_exec": False,
        "resource_settings": SimpleNamespace(nodes=None, cores=4, overwrite_resources={}),
        "storage_settings": SimpleNamespace(default_storage_provider=None),
        "global_resources": {},
        "overwrite_configfiles": [],
        "configfiles": [],
    }
    return SimpleNamespace(**given | over)


def test_the_names_were_looked_at_in_this_version() -> None:
    """Look at each name of `Engine` in the new version, run tests/workflow, and name it here."""
    assert version("snakemake") == "9.27.1"


def test_snakemake_has_the_names() -> None:
    import snakemake.api  # noqa: F401 (first, or its modules import each other in a circle)
    from snakemake import benchmark
    from snakemake.logging import LoggerManager
    from snakemake.path_modifier import PathModifier
    from snakemake.settings.types import OutputSettings, ResourceSettings, StorageSettings
    from snakemake.sourcecache import GithubFile
    from snakemake.workflow import Workflow

    for name in (
        "basedir",
        "is_main_process",
        "remote_exec",
        "overwrite_configfiles",
        "rules",
        "modifier",
    ):
        assert hasattr(Workflow, name), name
    assert hasattr(PathModifier, "replace_prefix") and hasattr(GithubFile, "hosted_repo")
    shown = LoggerManager(logging.getLogger("another"), OutputSettings()).settings
    assert not shown.dryrun and not shown.verbose
    given = ResourceSettings()
    assert given.nodes is given.cores is None and not given.overwrite_resources
    assert StorageSettings().default_storage_provider is None
    assert benchmark.BENCHMARK_INTERVAL_SHORT < benchmark.BENCHMARK_INTERVAL


def test_memory_is_sampled_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    from snakemake import benchmark

    waits: list[float] = []
    monkeypatch.setattr(benchmark, "BENCHMARK_INTERVAL_SHORT", benchmark.BENCHMARK_INTERVAL_SHORT)
    timer = SimpleNamespace(start=lambda: None, cancel=lambda: None)
    monkeypatch.setattr(benchmark, "DaemonTimer", lambda s, _: waits.append(s) or timer)
    Engine(workflow()).sample_seldom()
    with benchmark.benchmarked():
        pass
    assert waits == [2.0]


def test_where_a_run_is() -> None:
    engine = Engine(workflow())
    assert engine.first and engine.local and engine.shared_disk and not engine.of_another
    assert engine.cores == 4
    on_cluster = SimpleNamespace(nodes=5, cores=1, overwrite_resources={})
    assert not Engine(workflow(resource_settings=on_cluster)).local
    assert not Engine(workflow(remote_exec=True)).local
    storage = SimpleNamespace(default_storage_provider="s3")
    assert not Engine(workflow(storage_settings=storage)).shared_disk
    assert Engine(workflow(basedir="/elsewhere")).of_another


def test_a_run_that_makes_files() -> None:
    for dry, verbose in ((False, False), (True, False), (False, True)):
        shown = SimpleNamespace(dryrun=dry, verbose=verbose)
        made = workflow(logger_manager=SimpleNamespace(settings=shown))
        assert Engine(made).works == (not dry and not verbose)


def test_configuration_files_in_the_order_of_merging() -> None:
    engine = Engine(workflow(configfiles=[Path("b.yaml"), "own.yaml"],
                             overwrite_configfiles=[Path("b.yaml")]))  # fmt: skip
    assert engine.config_files(Path("config.yaml")) == ["config.yaml", "own.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("given", "gpus"),
    [({}, False), ({"train_model": {"gpu": 1}}, True), ({"train_model": {"gpu": 0}}, False),
     ({"train_model": {"gpu": SimpleNamespace(raw="0")}}, False),
     ({"train_model": {"gpu": SimpleNamespace(raw="2")}}, True)],
)  # fmt: skip
def test_a_profile_that_gives_gpus(given: dict[str, Any], gpus: bool) -> None:
    settings = SimpleNamespace(nodes=1, cores=1, overwrite_resources=given)
    assert Engine(workflow(resource_settings=settings)).gpus_of_profile("train_model") == gpus


def test_gpus_are_offered_unless_resources_are_named() -> None:
    made = workflow()
    Engine(made).offer_gpus(3)
    assert made.global_resources == {"gpu": 3}
    Engine(made).offer_gpus(5)
    assert made.global_resources == {"gpu": 3}


def test_a_dry_run_of_a_cluster_shows_all_threads() -> None:
    made = workflow(resource_settings=SimpleNamespace(nodes=2, cores=1, overwrite_resources={}))
    Engine(made).show_all_threads()
    assert made.global_resources == {"_cores": None}
    named = workflow()
    Engine(named).show_all_threads()
    assert named.global_resources == {}
