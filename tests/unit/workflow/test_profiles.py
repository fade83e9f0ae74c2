"""What each profile tells Snakemake, by the environment of whoever runs it."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser

from darkroom import ROOT

PROFILES = ("default", "slurm", "lsf", "generic", "kubernetes")
NETWORKS = {"train_model", "try_model", "extract_features", "embed_images"}


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names nothing, in which all plugins are there."""
    for name in ("ACCOUNT", "PARTITION", "GPU_PARTITION", "QOS", "SCHEDULER", "BUCKET", "IMAGE",
                 "NAMESPACE", "GPUS", "SUBMIT_OPTIONS"):  # fmt: skip
        monkeypatch.delenv(f"DARKROOM_{name}", raising=False)
        monkeypatch.delenv(f"SBATCH_{name}", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


def parsed(name: str) -> dict[str, Any]:
    with (ROOT / "profiles" / name / "config.yaml").open() as file:
        return dict(ProfileConfigFileParser().parse(file))


def test_every_key_has_its_reason_above_it() -> None:
    for name in PROFILES:
        lines = (ROOT / "profiles" / name / "config.yaml").read_text().splitlines()
        block: list[str] = []
        for line in [*lines, ""]:
            if line.strip():
                block.append(line)
                continue
            if block and block[0] != "__definitions__:":
                assert block[0].startswith("#"), f"{name}: {block[0]}"
            block = []


def test_what_reruns_is_the_same_everywhere() -> None:
    triggers = {name: parsed_plain(name)["rerun-triggers"] for name in PROFILES}
    assert len({tuple(t) for t in triggers.values()}) == 1
    assert all(parsed_plain(name)["rerun-incomplete"] for name in PROFILES)


def parsed_plain(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()))


@pytest.mark.parametrize("name", ["slurm", "lsf", "generic"])
def test_no_run_waits_long_for_its_last_submission(name: str) -> None:
    """Snakemake ends no sooner than one span of this limit after it."""
    jobs, seconds = parsed_plain(name)["max-jobs-per-timespan"].removesuffix("s").split("/")
    assert int(jobs) <= int(seconds) <= 10


def test_slurm_without_a_name_leaves_all_to_slurm() -> None:
    found = parsed("slurm")
    assert found["executor"] == "slurm"
    assert found["default-resources"] == ["slurm_account=None", "slurm_partition=None", "qos=None"]
    assert "set-resources" not in found


def test_slurm_with_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number stays a text; Slurm's own variables count where ours are unset; GPUs for networks alone."""
    monkeypatch.setenv("DARKROOM_ACCOUNT", "2024_07")
    monkeypatch.setenv("SBATCH_ACCOUNT", "other")
    monkeypatch.setenv("SBATCH_PARTITION", "day")
    monkeypatch.setenv("DARKROOM_GPU_PARTITION", "a100")
    found = parsed("slurm")
    assert found["default-resources"][:2] == ["slurm_account='2024_07'", "slurm_partition='day'"]
    given = set(found["set-resources"])
    assert given == {f"{rule}:gpu=1" for rule in NETWORKS} | {
        f"{rule}:slurm_partition='a100'" for rule in NETWORKS
    }


def test_lsf_with_and_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parsed("lsf")
    assert found["executor"] == "lsf" and "set-resources" not in found
    nothing = ["lsf_project=None", "lsf_queue=None", "lsf_extra=None"]
    assert found["default-resources"] == nothing
    monkeypatch.setenv("DARKROOM_ACCOUNT", "2024_07")
    monkeypatch.setenv("DARKROOM_GPU_PARTITION", "gpu")
    monkeypatch.setenv("DARKROOM_SUBMIT_OPTIONS", "-x")
    found = parsed("lsf")
    assert found["default-resources"][::2] == ["lsf_project='2024_07'", "lsf_extra='-x'"]
    wanted = ("gpu=1", "lsf_queue='gpu'", "lsf_extra='-gpu num=1 -x'")
    assert set(found["set-resources"]) == {f"{rule}:{w}" for rule in NETWORKS for w in wanted}


def test_generic_calls_our_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_SCHEDULER", "sge")
    monkeypatch.setenv("DARKROOM_GPU_PARTITION", "cards")
    found = parsed("generic")
    assert (
        "-m darkroom.workflow.schedulers sge submit --threads {threads}"
        in found["cluster-generic-submit-cmd"]
    )
    assert found["cluster-generic-status-cmd"].endswith(
        "-m darkroom.workflow.schedulers sge status"
    )
    assert found["cluster-generic-cancel-cmd"] == "qdel"
    assert set(found["set-resources"]) == {f"{rule}:gpu=1" for rule in NETWORKS}


def test_kubernetes_keeps_what_reads_the_unpacked_files_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DARKROOM_BUCKET", "s3://bucket/here")
    monkeypatch.setenv("DARKROOM_IMAGE", "registry/image")
    found = parsed("kubernetes")
    assert found["default-storage-prefix"] == "s3://bucket/here"
    assert {"download_source=data", "index_files=data", "prepare_images=data"} <= set(
        found["groups"]
    )
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for group in found["groups"]:
        assert f"rule {group.split('=')[0]}:" in rules


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("slurm", "make cluster"),
        ("lsf", "make cluster"),
        ("generic", "make cluster"),
        ("kubernetes", "make kubernetes"),
    ],
)
def test_a_missing_plugin_is_told_in_a_sentence(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=told):
        parsed(name)


def test_lsf_by_our_commands_is_told_of_its_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_SCHEDULER", "lsf")
    with pytest.raises(SystemExit, match="--workflow-profile profiles/lsf"):
        parsed("generic")


def test_a_missing_name_is_told_in_a_sentence() -> None:
    with pytest.raises(SystemExit, match="DARKROOM_SCHEDULER=pbs"):
        parsed("generic")
    with pytest.raises(SystemExit, match="DARKROOM_BUCKET"):
        parsed("kubernetes")


def test_the_locks_agree_with_the_one_of_the_workflow() -> None:
    """A plugin's lock must not bring another version of a package that is there."""

    def versions(lock: str) -> dict[str, str]:
        lines = (ROOT / "envs" / lock).read_text().splitlines()
        pins = (
            line.split(" ")[0].split("==") for line in lines if "==" in line and line[0].isalnum()
        )
        return dict(pins)

    run = versions("run.lock")
    for lock, has in (
        ("cluster.lock", "snakemake-executor-plugin-slurm"),
        ("cluster.lock", "snakemake-executor-plugin-lsf"),
        ("kubernetes.lock", "snakemake-executor-plugin-kubernetes"),
        ("pods.lock", "moto"),
    ):
        found = versions(lock)
        assert {n: v for n, v in found.items() if run.get(n, v) != v} == {}
        assert has in found
