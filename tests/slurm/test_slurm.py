"""What a real Slurm does with our jobs, and what we make of what it does to them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from darkroom.images import store
from tests.slurm import cluster as slurm
from tests.slurm.conftest import PARTS, OnCluster, processes


@pytest.fixture(scope="session")
def troubled(digits: OnCluster) -> Iterator[tuple[OnCluster, str]]:
    """The whole chain, while one training is cancelled and another hangs until its time is up.

    What was printed comes with it. The first network's features run out of memory at first.
    Another data set is prepared in shards meanwhile.
    """
    run = digits.start("all", PARTS)
    first = run.until(
        lambda: digits.running("train_model_wildcards_digits_holdout_cnn_0"), "a training"
    )
    digits.cluster.said("scancel", first)
    second = run.until(
        lambda: digits.running("train_model_wildcards_digits_holdout_cnn_1"), "another"
    )
    state = digits.root / "results/digits/holdout/cnn-seed1/.resume"
    run.until(lambda: list(state.glob("[!.]*.npz")), "its first epoch")
    for pid in processes(second, "train_model"):
        os.kill(pid, signal.SIGSTOP)
    soon = datetime.now() + timedelta(seconds=1)  # a limit would have to be a minute
    digits.cluster.said("scontrol", "update", f"JobId={second}", f"EndTime={soon:%FT%T}")
    yield digits, run.finished()


def test_the_chain_ends_well_whatever_befell_its_jobs(troubled: tuple[OnCluster, str]) -> None:
    at, printed = troubled
    assert (at.root / "results/digits/report.html").stat().st_size > 10_000
    assert "(100%) done" in printed
    assert at.run("all", PARTS, "--quiet", "host").count("Nothing to be done") == 1


def test_each_job_has_what_its_rule_asks_for(troubled: tuple[OnCluster, str]) -> None:
    """As Slurm recorded it: memory, time, cores, card, partition and account."""
    at, printed = troubled
    asked = {}
    for block in printed.split("\nrule ")[1:]:
        rule = block.split(":")[0]
        memory, minutes = re.search(r" mem_mb=(\d+)", block), re.search(r" runtime=(\d+)", block)
        assert memory and minutes, block
        asked.setdefault(rule, (int(memory[1]), int(minutes[1])))
    for rule in (
        "index_files",
        "prepare_images",
        "train_model",
        "extract_features",
        "fit_classifier",
        "list_files",
        "index_shard",
        "join_index",
        "prepare_shard",
        "join_images",
    ):
        seed = "wildcards_digits_holdout_cnn_0" if rule == "train_model" else ""
        first = at.jobs(f"rule_{rule}_{seed}")[0]
        assert (first.memory, first.minutes) == asked[rule], rule
        assert first.account == slurm.ACCOUNT
        on_card = rule in ("train_model", "extract_features")
        assert first.partition == ("gpu" if on_card else "cpu")
        assert ("gres/gpu=1" in first.tres) == on_card
        one = on_card or rule in ("list_files", "join_index", "join_images")  # a small network
        assert first.cpus == (1 if one else 8), rule  # `threads` of config.yaml


def test_shards_are_jobs_of_their_own_and_make_the_same_pixels(
    troubled: tuple[OnCluster, str],
) -> None:
    at, _ = troubled
    for rule in ("index_shard", "prepare_shard"):
        ran = at.jobs(f"rule_{rule}_")
        assert [job.state for job in ran] == ["COMPLETED"] * 2, rule
        assert len({job.comment for job in ran}) == 2
    whole, joined = (
        store.open_images(str(at.root / path)) for path in (PARTS.replace("parts", "digits"), PARTS)
    )
    np.testing.assert_array_equal(joined.images[:], whole.images[:])
    np.testing.assert_array_equal(joined.label, whole.label)


def test_small_jobs_and_downloads_are_none_of_slurms(troubled: tuple[OnCluster, str]) -> None:
    at, printed = troubled
    ran = {job.comment.removeprefix("rule_").split("_wildcards")[0] for job in at.jobs()}
    assert not ran & {"all", "download_source", "check_files", "find_copies", "split_rows",
                      "evaluate_dataset", "write_report"}  # fmt: skip
    for rule in (
        "download_source",
        "check_files",
        "find_copies",
        "split_rows",
        "evaluate_dataset",
        "write_report",
    ):
        assert f"localrule {rule}:" in printed


def test_a_cancelled_job_is_tried_again_with_more(troubled: tuple[OnCluster, str]) -> None:
    at, _ = troubled
    tries = at.jobs("train_model_wildcards_digits_holdout_cnn_0")
    assert [job.state for job in tries[:1] + tries[-1:]] == ["CANCELLED", "COMPLETED"]
    assert tries[1].memory == 2 * tries[0].memory
    assert tries[1].minutes == 2 * tries[0].minutes


def test_a_job_whose_time_is_up_goes_on_where_it_was(troubled: tuple[OnCluster, str]) -> None:
    at, printed = troubled
    tries = at.jobs("train_model_wildcards_digits_holdout_cnn_1")
    assert [job.state for job in tries[:1] + tries[-1:]] == ["TIMEOUT", "COMPLETED"]
    other = at.jobs("train_model_wildcards_digits_holdout_cnn_0")[0]  # whose time was not cut
    assert tries[1].minutes == 2 * other.minutes
    assert "status is: 'TIMEOUT'" in printed
    log = (at.root / "logs/digits/holdout/train_model-cnn-seed1.log").read_text()
    assert re.search(r"going on after epoch \d", log)


def test_a_job_without_enough_memory_is_tried_again_with_more(
    troubled: tuple[OnCluster, str],
) -> None:
    at, _ = troubled
    tries = at.jobs("extract_features_wildcards_digits_holdout_cnn_0")
    assert tries[0].state in ("OUT_OF_MEMORY", "CANCELLED", "FAILED")
    assert tries[-1].state == "COMPLETED"
    assert [job.memory for job in tries] == [tries[0].memory * 2**n for n in range(len(tries))]


def test_a_job_that_fails_for_good_shows_its_log(troubled: tuple[OnCluster, str]) -> None:
    at, _ = troubled
    status, printed = at.start(
        "results/digits/holdout/cnn-seed5/model.keras",
        "--retries", "0", "--set-resources", "train_model:mem_mb=200",
    ).ended()  # fmt: skip
    assert status != 0
    assert at.jobs("digits_holdout_cnn_5")[0].memory == 200
    assert re.search(r"SLURM-job '\d+' failed, SLURM status is", printed)
    told = printed.split("SLURM status is")[1]
    log = re.search(r"\S*/slurm_logs/rule_train_model/digits_holdout_cnn_5/\d+\.log", told)
    assert log is not None, told
    assert "Exceeded job memory limit" in Path(log[0]).read_text()
    assert not (at.root / "results/digits/holdout/cnn-seed5/model.keras").exists()


def test_a_killed_run_goes_on_and_leaves_no_second_job(troubled: tuple[OnCluster, str]) -> None:
    at, _ = troubled
    at.workspace.config = at.workspace.config | {
        "models": {
            "cnn": {"seeds": [0, 1], "epochs": 6},
            "long": {"layers": ["flatten", {"dense": 64}], "epochs": 60},
        }
    }
    model = "results/digits/holdout/long-seed0/model.keras"
    run = at.start(model)
    number = run.until(lambda: at.running("holdout_long_0"), "the training")
    state = at.root / "results/digits/holdout/long-seed0/.resume"
    run.until(lambda: list(state.glob("[!.]*.npz")), "its first epoch")
    for pid in processes(
        number, "train_model"
    ):  # so that it is surely there when the next run comes
        os.kill(pid, signal.SIGSTOP)
    run.kill()
    assert at.running("holdout_long_0") == number
    printed = at.run(model)
    assert f"still with Slurm, and are cancelled: {number}" in printed
    first, second = at.jobs("holdout_long_0")
    assert (first.state, second.state) == ("CANCELLED", "COMPLETED")
    log = (at.root / "logs/digits/holdout/train_model-long-seed0.log").read_text()
    assert re.search(r"going on after epoch \d", log)
    assert (at.root / model).exists()


def test_equal_jobs_may_be_one_array(troubled: tuple[OnCluster, str]) -> None:
    at, _ = troubled
    made = [f"results/digits/holdout/cnn-seed{n}/forest/predictions.parquet" for n in (0, 1)]
    for path in made:
        (at.root / path).unlink()
    at.run(*made, "--slurm-array-jobs", "fit_classifier")
    tasks = [job for job in at.jobs("rule_fit_classifier") if "_" in job.number]
    assert len(tasks) == 2
    assert {job.state for job in tasks} == {"COMPLETED"}
    assert len({job.number.split("_")[0] for job in tasks}) == 1
    assert all((at.root / path).exists() for path in made)


def test_the_generic_profile_submits_asks_and_ends_well(troubled: tuple[OnCluster, str]) -> None:
    """With Slurm's commands alone, as PBS and SGE are spoken to with theirs."""
    at, _ = troubled
    made = "results/digits/holdout/cnn-seed0/forest/predictions.parquet"
    (at.root / made).unlink()
    before = {job.number for job in at.jobs()}
    at.run(made, profile=("--workflow-profile", "profiles/generic"))
    assert (at.root / made).exists()
    (job,) = [job for job in at.jobs() if job.number not in before]
    assert (job.state, job.cpus, job.account) == ("COMPLETED", 8, slurm.ACCOUNT)
    assert job.partition == "cpu"
    assert job.memory >= 800
