"""Trials: drawn alike for a seed, recorded whole, taken up again, never mixed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.tune import trials
from darkroom.tune.choose import choose_setting, importances
from tests.support.waiting import PATIENCE, until

SPACE: dict[str, Any] = {
    "rate": {"low": 1e-4, "high": 1e-1, "log": True, "step": None},
    "units": {"low": 2, "high": 64, "log": True, "step": None},
    "layer": [{"dropout": {"rate": 0.1}}, {"dropout": {"rate": 0.4}}, None],
}
SETTINGS: dict[str, Any] = {"rate": 0.002, "units": 500, "layer": None}


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal's lines are synchronised to the disk one by one: slow, and not tested here."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def value(params: dict[str, Any]) -> float:
    """Smallest at a rate of 0.01, without the layer."""
    import math

    return abs(math.log10(params["rate"]) + 2) + (params["layer"] is not None) + 0.01


def by_value(now: trials.Attempt) -> float:
    return value(now.params)


def attempt(
    folder: Path,
    number: int,
    run: Callable[[trials.Attempt], float] = by_value,
    digest: str = "a",
    prune_after: int | None = 3,
    **tune: Any,
) -> dict[str, Any]:
    output = folder / f"trial-{number}.json"
    trials.attempt(
        str(output),
        number=number,
        subject={"dataset": "d", "fold": "holdout", "model": "m"},
        tune={"space": SPACE, "seed": 0, "objective": "loss"} | tune,
        settings=SETTINGS,
        digest=digest,
        run=run,
        prune_after=prune_after,
    )
    return record(folder, number)


def record(folder: Path, number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"trial-{number}.json").read_text())
    return found


def choose(folder: Path, count: int) -> dict[str, Any]:
    choose_setting(
        [str(folder / f"trial-{n}.json") for n in range(1, count + 1)],
        best=str(folder / "best.json"),
        table=str(folder / "trials.csv"),
        cfg={"dataset": "d", "fold": "holdout", "model": "m"},
    )
    found: dict[str, Any] = json.loads((folder / "best.json").read_text())
    return found


def never(now: trials.Attempt) -> float:
    raise AssertionError("a finished trial is not run again")


def test_one_seed_gives_one_search_and_another_seed_another(tmp_path: Path) -> None:
    drawn = {}
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        found = [attempt(tmp_path / name, n, seed=seed) for n in range(1, 11)]
        drawn[name] = [r["params"] for r in found]
        choose(tmp_path / name, 10)
    assert drawn["one"] == drawn["two"] != drawn["other"]
    best = [(tmp_path / name / "best.json").read_bytes() for name in ("one", "two")]
    assert best[0] == best[1]
    assert len({json.dumps(p) for p in drawn["one"]}) == 10


def test_the_first_trial_takes_what_is_written_where_the_space_has_it(tmp_path: Path) -> None:
    params = attempt(tmp_path, 1)["params"]
    assert params["rate"] == 0.002 and params["layer"] is None
    assert 2 <= params["units"] <= 64  # 500 is not in the space: drawn


def test_it_learns_from_what_came_before(tmp_path: Path) -> None:
    found = [attempt(tmp_path, n) for n in range(1, 31)]
    early, late = ([r["value"] for r in part] for part in (found[:6], found[-10:]))
    assert sorted(late)[5] < sorted(early)[2]
    assert all(2 <= r["params"]["units"] <= 64 for r in found)
    assert all(isinstance(r["params"]["units"], int) for r in found)


def test_a_trial_that_is_about_to_end_elsewhere_is_no_result_yet(tmp_path: Path) -> None:
    """Its state is written down a moment before its value."""

    def between(now: trials.Attempt) -> float:
        now.trial.set_user_attr("state", "complete")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(tmp_path, 1, between)
    assert attempt(tmp_path, 2)["state"] == "complete"
    assert attempt(tmp_path, 1)["state"] == "complete"


def test_a_finished_trial_is_only_written(tmp_path: Path) -> None:
    before = attempt(tmp_path, 1)
    (tmp_path / "trial-1.json").unlink()
    assert attempt(tmp_path, 1, never) == before


@pytest.mark.filterwarnings("error")
def test_a_trial_that_was_cut_off_goes_on_with_its_settings(tmp_path: Path) -> None:
    attempt(tmp_path, 1)
    state: list[str] = []

    def cut(now: trials.Attempt) -> float:
        state.append(json.dumps(now.params))
        Path(now.state).mkdir()
        now.epoch(0.5, 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(tmp_path, 2, cut)
    assert not (tmp_path / "trial-2.json").exists()

    def whole(now: trials.Attempt) -> float:
        assert json.dumps(now.params) == state[0]
        now.epoch(0.5, 1.0)  # told again by the training that goes on
        now.epoch(0.4, 2.0)
        return 0.4

    found = attempt(tmp_path, 2, whole)
    assert (found["values"], found["epochs"], found["seconds"]) == ([0.5, 0.4], 2, 3.0)
    assert not Path(tmp_path / ".trial-2").exists()


def test_trials_of_other_settings_do_not_mix(tmp_path: Path) -> None:
    for n in range(1, 4):
        attempt(tmp_path, n)
    other = attempt(tmp_path, 2, lambda now: 7.0, digest="b")
    assert (other["digest"], other["value"]) == ("b", 7.0)
    with pytest.raises(UserError, match=r"different settings.*delete it"):
        choose(tmp_path, 3)


def test_without_its_journal_a_search_goes_on_from_the_files(tmp_path: Path) -> None:
    for name in ("kept", "lost"):
        for n in range(1, 9):
            attempt(tmp_path / name, n)
    (tmp_path / "lost" / trials.JOURNAL).unlink()
    kept, lost = (attempt(tmp_path / name, 9) for name in ("kept", "lost"))
    assert kept["params"] == lost["params"]


def curve(*values: float) -> Callable[[trials.Attempt], float]:
    def run(now: trials.Attempt) -> float:
        for at in values:
            now.epoch(at, 1.0)
        return min(values)

    return run


def test_a_trial_worse_than_the_others_is_stopped(tmp_path: Path) -> None:
    for n in range(1, 8):
        assert attempt(tmp_path, n, curve(*[1 / e for e in range(1, 11)]))["state"] == "complete"
    found = attempt(tmp_path, 8, curve(*[3 / e for e in range(1, 11)]))
    assert found["state"] == "pruned" and 1 < found["epochs"] < 6
    assert "median" in found["reason"]
    assert attempt(tmp_path, 9, curve(*[0.9 / e for e in range(1, 11)]))["state"] == "complete"
    found = attempt(tmp_path, 10, curve(*[3 / e for e in range(1, 11)]), prune_after=None)
    assert found["state"] == "complete"
    assert choose(tmp_path, 10)["trial"] == 9


def test_a_failed_trial_has_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    def refused(now: trials.Attempt) -> float:
        raise UserError("layers[3] (pool) makes a map of 0 × 0")

    def diverged(now: trials.Attempt) -> float:
        now.epoch(float("nan"), 1.0)
        return 0.0

    assert attempt(tmp_path, 1, refused)["reason"] == "layers[3] (pool) makes a map of 0 × 0"
    found = attempt(tmp_path, 2, diverged)
    assert (found["state"], found["value"]) == ("failed", None)
    assert "nan in epoch 1" in found["reason"]
    with pytest.raises(UserError, match=r"no trial.*0 × 0 \(1 of 2\).*tune.space"):
        choose(tmp_path, 2)
    for n in range(3, 12):
        attempt(tmp_path, n)
    best = choose(tmp_path, 11)
    assert (best["trials"], best["complete"], best["failed"]) == (11, 9, 2)
    assert best["value"] == min(record(tmp_path, n)["value"] for n in range(3, 12))


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    def broken(now: trials.Attempt) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt(tmp_path, 1, broken)


def test_larger_is_better_for_accuracy(tmp_path: Path) -> None:
    found = [attempt(tmp_path, n, objective="accuracy") for n in range(1, 5)]
    best = choose(tmp_path, 4)
    assert best["value"] == max(r["value"] for r in found)


def test_the_table_has_a_row_a_trial(tmp_path: Path) -> None:
    import pandas as pd

    for n in range(1, 4):
        attempt(tmp_path, n)
    choose(tmp_path, 3)
    table = pd.read_csv(tmp_path / "trials.csv", keep_default_na=False)
    assert list(table) == [
        "number", "state", "value", "rate", "units", "layer", "epochs", "seconds", "reason",
    ]  # fmt: skip
    assert list(table["number"]) == [1, 2, 3]
    assert json.loads(table["layer"].iloc[0]) is None


def test_importances_name_what_mattered() -> None:
    random = np.random.default_rng(0)
    records: list[dict[str, Any]] = []
    for _ in range(60):
        params = {
            "rate": float(10 ** random.uniform(-4, -1)),
            "units": int(2 ** random.uniform(1, 6)),
            "layer": SPACE["layer"][random.integers(3)],
        }
        told = {"params": params, "value": value(params), "state": "complete"}
        records.append(told | {"space": SPACE, "objective": "loss"})
    weights, _ = importances(records)
    assert weights is not None and set(weights) == set(SPACE)
    assert abs(sum(weights.values()) - 1) < 0.01
    assert min(weights, key=lambda k: weights[k]) == "units"
    few, why = importances(records[:5])
    assert few is None and "6 are needed" in why
    for told in records:
        told["value"] = 1.0
    assert importances(records)[0] is None


# ---------------------------------------------------------------- killed, side by side

HOLDER = """
import sys, time
from optuna.storages.journal import JournalFileOpenLock
JournalFileOpenLock(sys.argv[1], grace_period=60).acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_killed_job_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(tmp_path, 1)
    journal = str((tmp_path / trials.JOURNAL).resolve())
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, journal], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline().strip() == b"held"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert Path(f"{journal}.lock").exists()
    monkeypatch.setattr(trials, "GRACE", 3)
    assert attempt(tmp_path, 2)["state"] == "complete"
    assert not Path(f"{journal}.lock").exists()


def test_a_line_cut_off_in_the_journal_is_mended(tmp_path: Path) -> None:
    for n in (1, 2):
        attempt(tmp_path, n)
    journal = tmp_path / trials.JOURNAL
    with journal.open("ab") as file:
        file.write(b'{"op_code":6,"worker')
    assert attempt(tmp_path, 3)["state"] == "complete"
    assert attempt(tmp_path, 1, never)["trial"] == 1


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    attempt(tmp_path, 1)
    journal = tmp_path / trials.JOURNAL
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\n\0\0\n", 1))
    with pytest.raises(UserError, match=r"journal.log is damaged.*delete it"):
        attempt(tmp_path, 2)


TRIAL = """
import sys, time, os
sys.path.insert(0, {root!r})
from pathlib import Path
from {module} import attempt, by_value
def run(now):
    Path({folder!r}, f"runs-{{sys.argv[1]}}").touch()
    if sys.argv[2:] == ["hang"]:
        now.epoch(0.5, 1.0)
        Path({folder!r}, "hangs").touch()
        time.sleep({patience})
    time.sleep(0.3)
    return by_value(now)
attempt(Path({folder!r}), int(sys.argv[1]), run)
"""


def start(folder: Path, number: int, *how: str) -> subprocess.Popen[bytes]:
    text = TRIAL.format(root=str(ROOT), module=__name__, folder=str(folder), patience=PATIENCE)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", text, str(number), *how], env=environment)


def test_side_by_side_every_trial_is_there_once(tmp_path: Path) -> None:
    jobs = [start(tmp_path, n) for n in range(1, 5)]
    assert [job.wait(PATIENCE) for job in jobs] == [0] * 4
    found = [record(tmp_path, n) for n in range(1, 5)]
    assert len({json.dumps(r["params"]) for r in found}) == 4
    assert {r["digest"] for r in found} == {"a"}
    attempt(tmp_path, 5)
    assert choose(tmp_path, 5)["complete"] == 5


def test_killed_in_the_middle_it_is_taken_up_again(tmp_path: Path) -> None:
    attempt(tmp_path / "whole", 1)
    expected = attempt(tmp_path / "whole", 2)["params"]
    attempt(tmp_path, 1)
    job = start(tmp_path, 2, "hang")
    until(lambda: (tmp_path / "hangs").exists() or job.poll() is not None)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not (tmp_path / "trial-2.json").exists()
    found = attempt(tmp_path, 2)
    assert found["params"] == expected
    assert found["values"] == [0.5]  # what it had reported is kept
    attempt(tmp_path, 3)
    assert choose(tmp_path, 3)["trials"] == 3
