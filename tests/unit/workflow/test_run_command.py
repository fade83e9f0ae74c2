"""`python -m darkroom run`: Snakemake, once its settings can be read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from darkroom.__main__ import main
from darkroom.workflow import run_command


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that this process would have become."""
    found: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, words: found.append(words))
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("run: {}\n")
    Path("tab.yaml").write_text("run: {}\n\tdata: x\n")
    return found


def test_snakemake_gets_the_words_as_they_are(started: list[list[str]]) -> None:
    words = ["-n", "all", "--configfile", "mine.yaml", "--config", "data=x", "--cores", "1"]
    main(["run", *words])
    assert started == [[sys.executable, "-m", run_command.LAUNCH, "--cores", "all", *words]]
    assert importlib.util.find_spec(run_command.LAUNCH)


WRONG = {
    "a file that cannot be read": (["--configfile", "mine.yaml", "tab.yaml"], "tab.yaml:2: the line"),
    "with an equals sign": (["--configfile=tab.yaml", "all"], "tab.yaml:2: the line begins"),
    "a file that is not there": (["--configfile", "no.yaml"], "no.yaml: there is no such file"),
    "a target behind": (["--configfile", "mine.yaml", "all"], "all: there is no such settings file; if it "
                        "is a target, put it before --configfile"),
    "an empty source": (["--config", "data="], "data= is empty: name a folder or an archive"),
    "a target behind values": (["--config", "data=x", "all"], "all: --config takes KEY=VALUE; if it is a "
                               "target, put it before --config"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_what_snakemake_could_not_read_is_a_sentence(
    words: list[str], said: str, started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith(said) and told.count("\n") == 1
    assert not started
