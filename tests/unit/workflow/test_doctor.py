"""`python -m darkroom doctor`: each thing that can stand in the way is told, with its remedy."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom import ROOT
from darkroom.__main__ import main
from darkroom.machine import drivers, gpus, hardware, installed
from darkroom.machine.drivers import Finding
from darkroom.workflow import overlays
from darkroom.workflow.doctor import examine, run
from darkroom.workflow.doctor import sources as looked_sources
from darkroom.workflow.plan import Job, plan
from tests.support import fake_gpus
from tests.support.pictures import class_folders

SECRET = "KGAT_0123456789abcdef"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, a home without credentials, a machine without GPUs and proxies."""
    for name in list(os.environ):
        if name.startswith("KAGGLE_") or name.lower() == "https_proxy" or name in gpus.ALLOCATED:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(gpus, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr(gpus, "AMD_NODES", tmp_path / "nodes")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


PLANS: dict[str, list[Job]] = {}


@pytest.fixture(autouse=True)
def planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan of the same settings is made once: it takes seconds."""

    def known(files: Any, values: Any, *rest: Any) -> list[Job]:
        key = repr([[Path(file).read_text() for file in files], values])
        if key not in PLANS:
            PLANS[key] = plan(files, values, *rest)
        return PLANS[key]

    monkeypatch.setattr(run, "plan", known)


def overlay(place: Path, **settings: Any) -> list[str]:
    (place / "mine.yaml").write_text(yaml.safe_dump(settings))
    return ["mine.yaml"]


def look(title: str, files: list[str] | None = None, **more: Any) -> list[Finding]:
    """What one section finds."""
    sections = examine.examine(files or [], **more)
    return next(findings for section, findings in sections if section == title)


def told(findings: list[Finding], level: str) -> str:
    return "\n".join(finding.text for finding in findings if finding.level == level)


def source(place: Path, source: str, **more: Any) -> list[str]:
    return overlay(place, run={"datasets": ["mine"]}, datasets={"mine": {"source": source}}, **more)


# ---------------------------------------------------------------- settings and data


def test_all_is_well_with_the_settings_of_the_project(place: Path) -> None:
    found = dict(examine.examine())
    assert list(found) == list(examine.SECTIONS)
    for title in ("settings", "machine", "disks", "sources", "forecast"):
        assert found[title] and not told(found[title], "problem"), title
    assert list(place.iterdir()) == [], "nothing is left behind"


def test_settings_that_are_wrong_do_not_hide_the_rest(place: Path) -> None:
    found = dict(examine.examine(overlay(place, modles={})))
    assert "mine.yaml:1: modles: unknown key; did you mean 'models'?" in told(
        found["settings"], "problem"
    )
    assert found["packages"] and found["machine"] and found["disks"] and not found["forecast"]


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "no such file"), ("a: [", ":1: not YAML"), ("- a", "is a list at its top")],
)  # fmt: skip
def test_files_that_are_no_settings(place: Path, text: str | None, words: str) -> None:
    if text is not None:
        (place / "mine.yaml").write_text(text)
    assert words in told(look("settings", ["mine.yaml"]), "problem")


def test_what_the_data_cannot_give_is_told(place: Path) -> None:
    class_folders(place / "pictures")
    files = source(place, "pictures")
    assert not told(look("settings", files), "problem")
    assert "no/where" in told(look("settings", source(place, "no/where")), "problem")


def test_millions_of_images_are_told_of_shards(place: Path) -> None:
    files = source(place, "https://example.org/many.zip")
    assert "shards" not in told(look("settings", files), "note")
    (place / "data/mine").mkdir(parents=True)
    size = {"files": 14_000_000, "bytes": 1_500_000_000_000}
    (place / "data/mine/source.json").write_text(json.dumps(size))
    assert "on a cluster, shards: " in told(look("settings", files), "note")


def test_files_and_values_are_merged_as_a_run_does(place: Path) -> None:
    """Mappings are merged, lists replaced, the later one counts."""
    (place / "one.yaml").write_text("{threads: 3, run: {classifiers: [knn]}}")
    (place / "two.yaml").write_text("{threads: 5, models: {cnn: {epochs: 2}}}")
    text = told(look("settings", ["one.yaml", "two.yaml"]), "ok")
    assert "classifiers knn" in text and "networks cnn" in text
    settings = overlays.read(["one.yaml", "two.yaml"], {"threads": 7})
    assert settings.threads == 7 and settings.models["cnn"].epochs == 2
    assert len(settings.models["cnn"].layers) > 5


# ---------------------------------------------------------------- sources


def test_a_token_is_found_and_never_shown(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = source(place, "kaggle:owner/name")
    monkeypatch.setattr(looked_sources, "_reached", lambda *_: Finding("ok", ""))
    assert "no Kaggle token: make one at https://www.kaggle.com" in told(
        look("sources", files), "problem"
    )
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    assert "a Kaggle token, from KAGGLE_API_TOKEN" in told(look("sources", files), "ok")
    main(["doctor", "--configfile", *files])
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (place / "data/mine").mkdir(parents=True)
    (place / "data/mine/source.json").write_text("{}")
    assert not told(look("sources", files), "problem"), "it is here already"


def test_a_host_that_is_reached_and_one_that_is_not(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        files = source(place, f"https://127.0.0.1:{port}/a.zip")
        assert "is reached" in told(look("sources", files), "ok")
    assert f"mine: 127.0.0.1:{port} is not reached" in told(look("sources", files), "problem")
    (place / "mirror").mkdir()
    files = source(place, f"https://127.0.0.1:{port}/a.zip", mirror="mirror")
    found = look("sources", files)
    assert "the mirror has to have it" in told(found, "note") and not told(found, "problem")


def test_a_mirror_that_is_not_there(place: Path) -> None:
    files = overlay(place, mirror="nowhere")
    assert "mirror nowhere: no folder" in told(look("sources", files), "problem")


# ---------------------------------------------------------------- what is installed


def test_packages_against_the_lock(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    pydantic = installed.version("pydantic")
    (tmp_path / "envs/run.lock").write_text(
        "# by hand\n"
        f"pydantic=={pydantic} \\\n    --hash=sha256:00\n"
        "numpy==0.0.1 ; python_version >= '3' \\\n    --hash=sha256:00\n"
        "nosuch-package==1.0 \\\n    --hash=sha256:00\n"
        "windows-only==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    (tmp_path / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
    found = look("packages", root=tmp_path)
    assert told(found, "problem").startswith("1 of 3 packages are missing: nosuch-package;")
    assert "numpy" in told(found, "note") and "(locked: 0.0.1)" in told(found, "note")
    assert "pydantic" not in told(found, "note")


def test_plugins_of_the_profiles(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/run.lock").touch()
    for name, text in (
        ("far", "executor: nosuch\ndefault-storage-provider: nowhere"),
        ("here", "cores: 2"),
        (
            "templated",
            "?if a:\n  set-resources:\n    ?for b in (1, 2):\n      ?b: 1\nexecutor: nosuch",
        ),
    ):
        (tmp_path / "profiles" / name).mkdir(parents=True)
        (tmp_path / "profiles" / name / "config.yaml").write_text(text)
    found = look("profiles", root=tmp_path)
    assert [f.text for f in found] == [
        "profile far needs snakemake-executor-plugin-nosuch, snakemake-storage-plugin-nowhere, "
        "to be used: pip install snakemake-executor-plugin-nosuch snakemake-storage-plugin-nowhere",
        "profile templated needs snakemake-executor-plugin-nosuch, to be used: "
        "pip install snakemake-executor-plugin-nosuch",
    ]
    beside = tmp_path / ".venv-cluster/lib/python3.12/site-packages"
    (beside / "snakemake_executor_plugin_nosuch").mkdir(parents=True)
    found = look("profiles", root=tmp_path)
    assert [f.level for f in found] == ["note", "ok"]
    assert found[1].text == "profile templated: by .venv-cluster/bin/snakemake"


# ---------------------------------------------------------------- the machine


def test_limits_of_a_container_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    inner = tmp_path / "cgroup/job/step"
    inner.mkdir(parents=True)
    (inner.parent / "cpu.max").write_text("50000 100000\n")
    (inner.parent / "memory.max").write_text(f"{300 * 2**20}\n")
    (inner / "memory.max").write_text("max\n")
    lines = hardware.lines
    monkeypatch.setattr(hardware, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(
        hardware,
        "lines",
        lambda f: ["0::/job/step"] if str(f) == "/proc/self/cgroup" else lines(f),
    )
    assert hardware.limits() == (0.5, 300 * 2**20)
    assert "only 0.5 of" in told(look("machine"), "note")
    assert "where 0.3 GiB are yours" in told(look("forecast"), "problem")


def test_cores_that_snakemake_counts_too_need_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--cores all` takes those that an allocation leaves, and not what a quota does."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(hardware, "_cgroups", lambda: iter([]))
    found = look("machine")
    assert "2 cores of 64" in told(found, "ok") and not told(found, "note")


def test_gpus_that_cannot_be_used(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "library", lambda name: None)
    monkeypatch.setattr(drivers, "ask", lambda name: Finding("problem", f"{name} was asked"))
    assert not told(look("GPUs"), "problem"), "no card, and none is demanded"
    assert "no GPU in this machine" in told(look("GPUs", overlay(place, gpus=1)), "problem")
    fake_gpus.install(tmp_path / "bin", ["GPU-a"])
    found = told(look("GPUs"), "problem")
    assert "libcudnn.so.9" in found and "tensorflow was asked" in found
    found = told(look("GPUs", overlay(place, gpus=2)), "problem")
    assert "asks for 2 GPUs and this machine has one GPU" in found
    assert not told(look("GPUs", overlay(place, gpus=0)), "problem")
    for settings, part in (({"jobs_per_gpu": 2}, 45), ({"jobs_per_gpu": 2, "gpu_memory": 0.3}, 30)):
        found = told(look("GPUs", overlay(place, **settings)), "note")
        assert f"may take {part}% of a GPU's memory" in found


# ---------------------------------------------------------------- disks


def test_a_disk_that_cannot_be_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> str:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert f"{place} is on a read-only file system" in told(look("disks"), "problem")


def test_a_disk_without_locks_is_no_problem_but_told(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = look("disks")
    assert "flock) is refused ([Errno 37] No locks available)" in told(found, "note")
    assert "snakemake --unlock" in told(found, "note") and not told(found, "problem")


def test_a_disk_that_cannot_be_mapped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mmap

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(mmap, "mmap", refuse)
    assert "mapping a file into memory is refused" in told(look("disks"), "problem")
    assert list(place.iterdir()) == []


def test_more_is_written_than_there_is_room_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not told(look("forecast"), "problem")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    assert "and 1.0 MB are free: free some" in told(look("forecast"), "problem")
    (place / "results/digits").mkdir(parents=True)
    found = look("forecast")  # how much of it is there already nobody has counted
    assert not told(found, "problem") and "less what is there of digits" in told(found, "ok")


def test_what_is_assumed_is_said(place: Path) -> None:
    files = source(place, "https://host.invalid/a.zip")
    found = look("forecast", files)
    assert "nothing is known yet of mine: 20000 files are assumed" in told(found, "note")


# ---------------------------------------------------------------- the command


def test_status_and_summary(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        examine, "SECTIONS", {"a": lambda _: iter([Finding("ok", "x"), Finding("note", "y")])}
    )
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "a\n  ok       x\n  note     y\nno problems\n"
    monkeypatch.setattr(
        examine,
        "SECTIONS",
        {"a": lambda _: iter([Finding("problem", "z")]), "b": lambda _: iter([])},
    )
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == "a\n  problem  z\n1 problem\n"
    assert main(["doctor", "--config", "threads"]) == 2
    assert "--config threads: say it as KEY=VALUE" in capsys.readouterr().err


def test_lines_are_broken_for_a_terminal() -> None:
    out: list[str] = []
    findings = [Finding("problem", "one two three four")]
    assert examine.show([("t", findings)], out.append, 20) == 1
    assert "".join(out) == "t\n  problem  one two\n           three\n           four\n"


def test_it_imports_no_framework(place: Path) -> None:
    code = (
        "import sys; from darkroom.__main__ import main; main(['doctor']); "
        "print({'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "set()"
