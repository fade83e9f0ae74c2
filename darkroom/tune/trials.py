"""Run one trial of a search; Optuna samples its settings, records it and prunes it.

Each trial is a job. The trials of a search share a journal, an append-only file in the search's
folder (Optuna's JournalStorage), so they can run in parallel on one machine or a cluster. Only
this module and `choose` import Optuna.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.overrides import in_words, value_at

log = logging.getLogger(__name__)

JOURNAL = "journal.log"
GRACE = 15  # seconds without change after which a lock counts as left by a killed job
STARTUP = 5  # random trials before the sampler and the pruner use the results
SMALLER_IS_BETTER = ("loss", "log_loss")
# Errors of the backends when a network does not fit into memory.
TOO_LARGE = ("ResourceExhaustedError", "OutOfMemoryError", "XlaRuntimeError")


class Search(TypedDict):
    """Settings of a search, the same for each of its trials.

    Attributes
    ----------
    space : by path, a list of values, or `low`, `high`, `log` and `step`.
    seed : of the sampler.
    objective : a score on the validation rows.
    """

    space: dict[str, Any]
    seed: int
    objective: str


class Pruned(Exception):
    """The trial is worse than the median of earlier trials at this epoch."""


@dataclass
class Attempt:
    """A running trial.

    Attributes
    ----------
    params : drawn settings, by path.
    state : folder for a state that survives a kill.
    trial : the Optuna trial.
    epochs : completed epochs.
    seconds : their duration, including earlier jobs.
    reported : the objective after each epoch.
    """

    params: dict[str, Any]
    state: str
    trial: Any
    epochs: int = 0
    seconds: float = 0.0
    reported: dict[int, float] = field(default_factory=dict)

    def epoch(self, value: float, seconds: float) -> None:
        """Record the objective after a completed epoch; epochs of earlier jobs are replayed.

        Raises
        ------
        Pruned
            The trial is worse than the median of earlier trials.
        UserError
            The value is not finite.
        """
        self.epochs += 1
        self.seconds += seconds
        if not math.isfinite(value):
            raise UserError(f"the objective became {value} in epoch {self.epochs}")
        if self.epochs not in self.reported:
            self.trial.report(value, self.epochs)
            self.reported[self.epochs] = value
        if self.epochs == max(self.reported) and self.trial.should_prune():
            raise Pruned


def attempt(
    output: str,
    *,
    number: int,
    subject: Mapping[str, Any],
    tune: Search,
    settings: Mapping[str, Any],
    digest: str,
    run: Callable[[Attempt], float],
    prune_after: int | None = None,
) -> None:
    """Run trial `number` of a search, or write its record if the journal has finished it.

    A trial of a killed job continues with its settings. The settings of a new trial come from
    the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS; Watanabe 2023,
    arXiv:2304.11127). Its seed depends on `tune["seed"]` and `number`, so equal histories give
    equal settings. Running trials count as bad (constant liar), so no two try the same
    settings. Trial 1 takes the configured settings where the space contains them.

    Parameters
    ----------
    output : `trial-{number}.json` in the folder of the search, beside the journal.
    number : of the trial, from 1.
    subject : `dataset`, `fold` and `model`; for a classifier the names of its run.
    tune : the search.
    settings : the settings that the space's paths refer to.
    digest : of inputs, settings and code; trials share results only within one digest.
    run : returns the objective; may raise `Pruned`. A `UserError` or a lack of memory gives
        the trial the state failed and a reason.
    prune_after : epochs before an unpromising trial may stop; None: no trial stops early.

    Raises
    ------
    UserError
        The journal cannot be read.
    """
    place = Path(output)
    place.parent.mkdir(parents=True, exist_ok=True)
    state = place.with_name(f".trial-{number}")
    space = distributions(tune["space"])
    with _journal(place.parent / JOURNAL) as storage:
        study = _study(storage, digest, tune, number, prune_after)
        _remember(study, place.parent, number, digest, space)
        trial = _of_job(study, number)
        if trial is None or not trial.state.is_finished():
            trial = _run(study, storage, trial, number, tune, settings, space, state, run)
        else:
            log.info("trial %d is already finished in the journal", number)
        record = _record(trial, subject, tune, digest)
        _log(record, study, tune)
    write(place, record)
    shutil.rmtree(state, ignore_errors=True)


def fingerprint(*values: Any) -> str:
    """Digest of arrays, bytes and JSON values: 24 hexadecimal digits."""
    hashed = hashlib.blake2b(digest_size=12)
    for value in values:
        if isinstance(value, np.ndarray):
            value = np.ascontiguousarray(value)
            hashed.update(f"{value.dtype}{value.shape}".encode())
            hashed.update(value.data if value.size else b"")
        elif isinstance(value, bytes):
            hashed.update(str(len(value)).encode() + b":" + value)
        else:
            hashed.update(json.dumps(value, sort_keys=True).encode() + b"\0")
    return hashed.hexdigest()


def write(place: Path, record: Any) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    with disk.whole(place) as part:
        part.write_text(text + "\n", encoding="utf-8")


# ---------------------------------------------------------------- search space


def distributions(space: dict[str, Any]) -> dict[str, Any]:
    """Optuna's distribution of each path: a numeric range, or a list of choices.

    Choices are passed as JSON text: Optuna takes scalars only, and a choice may be a list of
    layers.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    distributions: dict[str, Any] = {}
    for path, values in space.items():
        if isinstance(values, list):
            distributions[path] = CategoricalDistribution(
                [json.dumps(v, sort_keys=True) for v in values]
            )
        elif all(isinstance(v, int) for v in (values["low"], values["high"], values["step"] or 1)):
            distributions[path] = IntDistribution(
                values["low"], values["high"], log=values["log"], step=values["step"] or 1
            )
        else:
            distributions[path] = FloatDistribution(
                values["low"], values["high"], log=values["log"], step=values["step"]
            )
    return distributions


def coded(path: str, value: Any, space: dict[str, Any]) -> Any:
    """Encode a value for its distribution."""
    from optuna.distributions import CategoricalDistribution

    listed = isinstance(space[path], CategoricalDistribution)
    return json.dumps(value, sort_keys=True) if listed else value


def _decoded(params: dict[str, Any], space: dict[str, Any]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution

    return {
        path: json.loads(value) if isinstance(space[path], CategoricalDistribution) else value
        for path, value in params.items()
    }


def written(settings: Mapping[str, Any], space: dict[str, Any]) -> dict[str, Any]:
    """Configured values by path, where the space contains them.

    Parameters
    ----------
    settings : the settings that the paths refer to.
    space : as in the configuration.
    """
    own = {}
    for path, values in space.items():
        try:
            value = value_at(settings, path)
        except ValueError:
            continue
        if isinstance(values, list):
            if value in values:
                own[path] = value
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            steps = (value - values["low"]) / (values["step"] or 1)
            on_grid = values["step"] is None or abs(steps - round(steps)) < 1e-9
            if values["low"] <= value <= values["high"] and on_grid:
                own[path] = value
    return own


# ---------------------------------------------------------------- journal


@contextmanager
def _journal(path: Path) -> Iterator[Any]:
    """Open the storage of a journal, after removing a truncated last line.

    The lock is a file created with O_EXCL, which is atomic on local disks and on NFS from
    version 3, with or without a lock daemon. A lock normally lasts milliseconds; the next job
    removes one that has not changed for `GRACE` seconds.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = str(path.resolve())
    lock = JournalFileOpenLock(file, grace_period=GRACE)
    lock.acquire()
    try:
        _repair(path)
    finally:
        lock.release()
    try:
        storage = JournalStorage(JournalFileBackend(file, lock_obj=lock))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete it; finished trials are read again from their "
            "files beside it"
        ) from None
    yield storage


def _repair(path: Path) -> None:
    """Remove a truncated last line, which a full disk or a power cut leaves."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _study(storage: Any, digest: str, tune: Search, number: int, prune_after: int | None) -> Any:
    import optuna

    seed = int(np.random.SeedSequence([tune["seed"], number]).generate_state(1)[0])
    # The median rule saves most at least loss for small budgets: see docs/design.md.
    pruner: Any = optuna.pruners.NopPruner()
    if prune_after is not None:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=prune_after)
    return optuna.create_study(
        study_name=digest,
        storage=storage,
        sampler=optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed),
        pruner=pruner,
        direction="minimize" if tune["objective"] in SMALLER_IS_BETTER else "maximize",
        load_if_exists=True,
    )


def _of_job(study: Any, number: int) -> Any:
    """The Optuna trial of job `number`, or None."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.user_attrs.get("job") == number]
    return trials[0] if trials else None


def _remember(study: Any, folder: Path, number: int, digest: str, space: dict[str, Any]) -> None:
    """Add earlier trials from their files, where the journal was lost."""
    from optuna.trial import TrialState, create_trial

    known = {t.user_attrs.get("job") for t in study.get_trials(deepcopy=False)}
    for other in range(1, number):
        file = folder / f"trial-{other}.json"
        if other in known or not file.is_file():
            continue
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["digest"] != digest:
            continue
        complete = record["state"] == "complete"
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if complete else TrialState.PRUNED,
                value=record["value"],
                params={k: coded(k, v, space) for k, v in record["params"].items()},
                distributions=space,
                user_attrs={"job": other, **{k: record[k] for k in ("epochs", "seconds", "reason")}}
                | {"state": record["state"]},
                intermediate_values={int(k): v for k, v in enumerate(record["values"], 1)},
            )
        )


# ---------------------------------------------------------------- one trial


def _run(
    study: Any,
    storage: Any,
    before: Any,
    number: int,
    tune: Search,
    settings: Mapping[str, Any],
    space: dict[str, Any],
    state: Path,
    run: Callable[[Attempt], float],
) -> Any:
    """Run a trial; returns it as finished in the journal."""
    import optuna
    from optuna.trial import TrialState

    if before is None:
        # One line of the journal creates the trial and names its job, so a kill cannot come between.
        own = written(settings, tune["space"]) if number == 1 else {}
        fixed = {path: coded(path, value, space) for path, value in own.items()}
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            user_attrs={"job": number},
            system_attrs={"fixed_params": fixed} if fixed else None,
        )
        where = storage.get_study_id_from_name(study.study_name)
        trial = optuna.trial.Trial(study, storage.create_new_trial(where, template))
        reported: dict[int, float] = {}
    else:
        log.info("trial %d was interrupted: continuing", number)
        trial = optuna.trial.Trial(study, before._trial_id)
        reported = dict(before.intermediate_values)
    drawn = {path: _suggested(trial, path, kind) for path, kind in space.items()}
    params = _decoded(drawn, space)
    log.info("trial %d: %s", number, in_words(params))
    now = Attempt(params, str(state), trial, reported=reported)
    value, reason, how = math.nan, "", "failed"
    try:
        value = float(run(now))
        if math.isfinite(value):
            how = "complete"
        else:
            reason = f"the objective is {value}"
    except Pruned:
        how, reason = "pruned", f"stopped after epoch {now.epochs}: worse than the median there"
    except Exception as error:
        known = isinstance(error, (UserError, MemoryError)) or type(error).__name__ in TOO_LARGE
        if not known:
            raise
        reason = str(error).strip().split("\n")[0] or "not enough memory"
    for key, attribute in {
        "epochs": now.epochs,
        "seconds": round(now.seconds, 3),
        "reason": reason,
        "state": how,
    }.items():
        trial.set_user_attr(key, attribute)
    if how == "complete":
        study.tell(trial, value)
    else:
        # The sampler ignores failed trials and would draw there again. Pruned trials without
        # values rank last.
        study.tell(trial, state=TrialState.PRUNED)
    return _of_job(study, number)


def _suggested(trial: Any, path: str, kind: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(kind, CategoricalDistribution):
        return trial.suggest_categorical(path, kind.choices)
    draw = trial.suggest_int if isinstance(kind, IntDistribution) else trial.suggest_float
    return draw(path, kind.low, kind.high, step=kind.step, log=kind.log)


def _record(trial: Any, subject: Mapping[str, Any], tune: Search, digest: str) -> Any:
    """Contents of `trial-{n}.json`; see docs/formats.md."""
    about = trial.user_attrs
    values = trial.intermediate_values
    space = trial.distributions
    return {
        **subject,
        "trial": about["job"],
        "state": about["state"],
        "objective": tune["objective"],
        "value": None if about["state"] == "failed" else trial.value,
        "params": {path: _decoded(trial.params, space)[path] for path in tune["space"]},
        "values": [values[step] for step in sorted(values)],
        "epochs": about["epochs"],
        "seconds": about["seconds"],
        "reason": about["reason"],
        "search_seed": tune["seed"],
        "space": tune["space"],
        "digest": digest,
    }


def _log(record: dict[str, Any], study: Any, tune: Search) -> None:
    from optuna.trial import TrialState

    number, state = record["trial"], record["state"]
    best = ""
    done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if done:
        sign = 1 if tune["objective"] in SMALLER_IS_BETTER else -1
        top = min(done, key=lambda t: (sign * t.value, t.user_attrs["job"]))
        best = f"; best so far {top.value:.4g} (trial {top.user_attrs['job']})"
    if state == "complete":
        log.info("trial %d: %s %.4g%s", number, tune["objective"], record["value"], best)
    else:
        log.info("trial %d %s: %s%s", number, state, record["reason"], best)
