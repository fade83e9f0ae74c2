"""Logs, and a mistake told in one sentence."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from darkroom.errors import UserError
from darkroom.machine.progress import progress
from darkroom.machine.stage import stage


@pytest.fixture
def snakemake(tmp_path: Path) -> SimpleNamespace:
    wildcards = {"dataset": "digits", "fold": "holdout", "model": "cnn", "seed": "2"}
    return SimpleNamespace(
        rule="train_model", log=[str(tmp_path / "train.log")], wildcards=wildcards
    )


def test_a_line_goes_to_the_terminal_and_the_log(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage(snakemake):
        logging.getLogger("darkroom.train.training").info("epoch %d", 3)
        logging.getLogger("darkroom.train.training").info("digits: ten classes")
    assert capsys.readouterr().err.splitlines() == [
        "train_model digits cnn-seed2: epoch 3",
        "train_model digits cnn-seed2: ten classes",
    ]
    assert "darkroom.train.training: epoch 3" in Path(snakemake.log[0]).read_text()


def test_details_go_to_the_log_alone(
    snakemake: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for verbose, shown in (("0", 0), ("1", 1)):
        monkeypatch.setenv("VERBOSE", verbose)
        with stage(snakemake):
            logging.getLogger("darkroom.classify").debug("C = 0.1")
        assert capsys.readouterr().err.count("C = 0.1") == shown
        assert Path(snakemake.log[0]).read_text().count("C = 0.1") == 1


def test_a_mistake_is_one_sentence(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, stage(snakemake):
        raise UserError("photos/: no images here; name another folder")
    assert ended.value.code == 1
    assert (
        capsys.readouterr().err
        == "train_model digits cnn-seed2: photos/: no images here; name another folder\n"
    )
    log = Path(snakemake.log[0]).read_text()
    assert "name another folder" in log and "Traceback" not in log


def test_what_a_terminal_would_obey_is_escaped(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage(snakemake):
        logging.getLogger("darkroom.index").info("class %s", "a\x1b]0;mine\x07\u202eb")
    shown = r"class a\x1b]0;mine\x07\u202eb"
    assert capsys.readouterr().err == f"train_model digits cnn-seed2: {shown}\n"
    assert Path(snakemake.log[0]).read_text().endswith(f"darkroom.index: {shown}\n")


def test_a_stopped_job_says_nothing(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, stage(snakemake):
        raise KeyboardInterrupt
    assert (ended.value.code, capsys.readouterr().err) == (130, "")


def test_what_the_disk_refuses_is_one_sentence(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    snakemake.output = [str(tmp_path / "deep" / "model.keras")]
    with pytest.raises(SystemExit) as ended, stage(snakemake):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("train_model digits cnn-seed2: no space: writing below ")
    assert told.count("\n") == 1 and "free; free some and run the same command again" in told
    log = Path(snakemake.log[0]).read_text()
    assert "no space" in log and "Traceback" not in log


def test_a_log_that_cannot_be_opened_is_told(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    snakemake.log = [str(tmp_path / "gone" / "train.log")]
    with pytest.raises(SystemExit), stage(snakemake):
        raise AssertionError("the work must not begin")
    assert "gone/train.log is not there any more" in capsys.readouterr().err


def test_a_log_on_a_full_disk_is_told_once_and_the_work_goes_on(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.log = ["/dev/full"]
    with stage(snakemake):
        for number in range(3):
            logging.getLogger("darkroom").info("epoch %d", number)
    told = capsys.readouterr().err
    assert told.count("/dev/full cannot be written: [Errno 28]") == 1
    assert "epoch 2" in told and "Traceback" not in told


def test_a_defect_keeps_its_traceback(snakemake: SimpleNamespace) -> None:
    with pytest.raises(ZeroDivisionError), stage(snakemake):
        _ = 1 / 0
    log = Path(snakemake.log[0]).read_text()
    assert "train_model failed" in log and "ZeroDivisionError" in log


def test_warnings_of_libraries_stay_in_the_log(
    snakemake: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage(snakemake):
        logging.getLogger("py.warnings").warning("old style")
    assert "old style" not in capsys.readouterr().err
    assert "old style" in Path(snakemake.log[0]).read_text()


def test_progress_off_a_terminal_is_a_line_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 9000, 25))
    monkeypatch.setattr("darkroom.machine.progress.time.monotonic", lambda: next(clock))
    logging.getLogger("darkroom").propagate = True
    with caplog.at_level(logging.INFO), progress("decode", 1000) as bar:
        for _ in range(1000):
            bar.update()
    assert [r.getMessage().split(" images")[0] for r in caplog.records][:2] == [
        "decode: 100 of 1000",
        "decode: 200 of 1000",
    ]
    assert len(caplog.records) == 10


def test_progress_on_a_terminal_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress("fetch", 10, unit="B") as bar:
        bar.update(10)
    assert "fetch" in capsys.readouterr().err


def test_a_log_is_never_empty(snakemake: SimpleNamespace) -> None:
    """Snakemake shows no log that follows an empty one: a cluster's words would be lost."""
    with stage(snakemake):
        assert "train" in Path(snakemake.log[0]).read_text()
