"""Jobs by a scheduler's own commands; here it is one that starts them at once."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from darkroom.workflow import schedulers
from darkroom.workflow.schedulers import SCHEDULERS, main, status, submission
from tests.support.waiting import until

QSUB = """#!/bin/sh
for last; do :; done
echo "$@" > asked
setsid sh "$last" > job.out 2>&1 &
echo $!.server
"""
QSTAT = """#!/bin/sh
number=${2%.server}
kill -0 $number 2> /dev/null || { echo "Unknown Job Id" >&2; exit 153; }
echo "    job_state = R"
"""
PBS = SCHEDULERS["pbs"]
ASKED = ["--threads", "4", "--memory", "8000", "--minutes", "90", "--gpus", "0"]


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to submit from, and commands of PBS that start a job at once."""
    for name, text in (("qsub", QSUB), ("qstat", QSTAT)):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text)
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("ACCOUNT", "PARTITION", "GPU_PARTITION", "SUBMIT_OPTIONS"):
        monkeypatch.delenv(f"DARKROOM_{name}", raising=False)
    work = tmp_path / "a folder"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def submitted(script: str, capsys: pytest.CaptureFixture[str]) -> str:
    Path("job.sh").write_text(script)
    main(["pbs", "submit", *ASKED, "job.sh"])
    return capsys.readouterr().out.strip()


def test_a_job_runs_in_its_folder_and_ends_well(
    pretended: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = submitted("while [ ! -f go ]; do sleep 0.05; done; pwd > where", capsys)
    assert number.endswith(".server")
    assert status(PBS, number) == "running"
    Path("go").touch()
    until(lambda: status(PBS, number) != "running")
    assert status(PBS, number) == "success"
    assert Path("where").read_text().strip() == str(pretended)
    assert "ncpus=4:mem=8000mb -l walltime=01:30:00" in Path("asked").read_text()


def test_a_job_that_fails(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = submitted("exit 3", capsys)
    until(lambda: status(PBS, number) != "running")
    assert status(PBS, number) == "failed"


def test_a_job_that_was_killed_has_failed_and_not_at_once(
    pretended: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that tells how it ended may be late, on a network file system."""
    number = submitted("touch started; sleep 600", capsys)
    until(lambda: Path("started").exists())
    group = int(number.removesuffix(".server"))
    os.killpg(group, signal.SIGKILL)
    until(
        lambda: (
            subprocess.run(["qstat", "-f", number], capture_output=True, check=False).returncode
            != 0
        )
    )
    assert status(PBS, number) == "running"
    monkeypatch.setattr(schedulers, "GRACE", 0.0)
    assert status(PBS, number) == "failed"


def test_a_number_that_is_none_of_ours_has_failed(pretended: Path) -> None:
    assert status(PBS, "77.server") == "failed"


def test_a_refusal_is_passed_on(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pretended.parent / "bin/qsub").write_text(
        "#!/bin/sh\necho 'qsub: Unknown queue' >&2; exit 170\n"
    )
    with pytest.raises(SystemExit, match="refused"):
        submitted("true", capsys)
    (pretended.parent / "bin/qsub").unlink()
    with pytest.raises(SystemExit, match="qsub: not found here"):
        main(["sge", "submit", *ASKED, "job.sh"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pbs", "-l select=1:ncpus=4:mem=8000mb:ngpus=1 -l walltime=01:30:00 -A vision -q cards"),
        ("sge", "-pe smp 4 -l h_rt=01:30:00 -l h_vmem=2000M -l gpu=1 -P vision -q cards"),
        ("slurm", "--cpus-per-task=4 --mem=8000 -t 90 --gpus=1 -A vision -p cards"),
    ],
)
def test_what_each_scheduler_is_asked_for(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_ACCOUNT", "vision")
    monkeypatch.setenv("DARKROOM_PARTITION", "cores")
    monkeypatch.setenv("DARKROOM_GPU_PARTITION", "cards")
    monkeypatch.setenv("DARKROOM_SUBMIT_OPTIONS", "-M 'a b'")
    asked: dict[str, Any] = {"threads": 4, "memory": 8000, "minutes": 90, "log": "LOG"}
    told = " ".join(submission(SCHEDULERS[name], gpus=1, **asked))
    assert words in told
    assert submission(SCHEDULERS[name], gpus=1, **asked)[-2:] == ["-M", "a b"]
    plain = submission(SCHEDULERS[name], gpus=0, **asked)
    assert "cores" in plain
    assert not any("gpu" in word for word in plain)
