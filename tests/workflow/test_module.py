"""Another workflow uses this one as a module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from darkroom import ROOT
from tests.support import warm
from tests.support.pictures import class_folders
from tests.support.workspace import make_workspace

SNAKEFILE = """
configfile: "mine.yaml"


module darkroom:
    snakefile: {where}
    config: config
    {more}


use rule * from darkroom {as_}


rule mine:
    input: "{prefix}results/pictures/report.html"
    output: "copied.html"
    shell: "cp {{input}} {{output}}"
"""
BESIDE = '"../darkroom/Snakefile"'
# Everything else is as in the project's own config.yaml.
MINE = {
    "data": "pictures",
    "run": {"models": ["tiny"], "classifiers": ["knn"]},
    "datasets": {"pictures": {"view": {"size": 12}}},
    "models": {"tiny": {"layers": [{"conv": 4}, "flatten"], "epochs": 1}},
    "classifiers": {"knn": {"kind": "knn"}},
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of another project, beside a copy of this one."""
    (tmp_path / "darkroom").mkdir()
    make_workspace(tmp_path / "darkroom")
    folder = tmp_path / "mine"
    folder.mkdir()
    class_folders(folder / "pictures")
    (folder / "mine.yaml").write_text(yaml.safe_dump(MINE))
    return folder


def snakemake(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    drop = ("PYTHONPATH", "COV_", "SNAKEMAKE")
    env = {k: v for k, v in os.environ.items() if not k.startswith(drop)} | variables
    env |= {"XDG_CACHE_HOME": str(folder / ".cache")}
    return warm.run(["--cores", "2", *arguments], folder, env, jobs="--dry-run" not in arguments)


def test_a_module_runs_to_a_report(mine: Path) -> None:
    (mine / "Snakefile").write_text(SNAKEFILE.format(where=BESIDE, more="", as_="", prefix=""))
    done = snakemake(mine, "copied.html")
    assert done.returncode == 0, done.stdout
    page = (mine / "copied.html").read_text()
    assert "pictures" in page and "tiny" in page
    assert not list((mine.parent / "darkroom").glob("results")), "nothing is written elsewhere"


def test_a_module_has_the_settings_and_messages_of_its_own(mine: Path) -> None:
    (mine / "Snakefile").write_text(SNAKEFILE.format(where=BESIDE, more="", as_="", prefix=""))
    (mine / "mine.yaml").write_text(yaml.safe_dump(MINE | {"clasifiers": {}}))
    done = snakemake(mine, "--dry-run")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "mine.yaml:" in done.stdout and "did you mean 'classifiers'" in done.stdout


def test_rules_of_a_module_may_have_other_names_and_a_folder_of_their_own(mine: Path) -> None:
    """Each file of the plan lies below the prefix, but those that the settings name."""
    (mine / "Snakefile").write_text(
        SNAKEFILE.format(where=BESIDE, more='prefix: "photos"', as_="as photos_*", prefix="photos/")
    )
    done = snakemake(mine, "--dry-run", "copied.html")
    assert done.returncode == 0, done.stdout
    rules = set(re.findall(r"^rule (\w+):", done.stdout, flags=re.M)) - {"mine"}
    assert {"photos_download_source", "photos_train_model", "photos_write_report"} <= rules
    assert all(rule.startswith("photos_") for rule in rules)
    kinds = re.findall(r"^    (?:input|output|log|benchmark): (.*)", done.stdout, flags=re.M)
    files = [file for kind in kinds for file in kind.split(", ")]
    assert len(files) > 40
    own = {file for file in files if not file.startswith("photos/")}
    listed = {file for file in own if ".snakemake/darkroom-sources/" in file}  # of the source
    assert own - listed == {"copied.html"}
    assert all(Path(file).is_relative_to(mine) for file in listed)


def test_the_snakefile_that_the_catalogue_looks_for(mine: Path) -> None:
    project = mine.parent / "darkroom"
    shutil.copytree(ROOT / "workflow", project / "workflow")
    done = snakemake(mine, "--dry-run", "--snakefile", str(project / "workflow/Snakefile"),
                     "--configfile", "mine.yaml")  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert {"train_model", "write_report"} <= set(re.findall(r"^rule (\w+):", done.stdout, re.M))
    assert (mine / ".snakemake").exists(), "it works where it is called"


def test_a_module_on_github(mine: Path) -> None:
    """Snakemake fetches its files one by one; git takes a folder here for GitHub."""
    project = mine.parent / "darkroom"
    shutil.copytree(ROOT / "workflow", project / "workflow")
    git = ("git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "All"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    where = 'github("me/darkroom", path="workflow/Snakefile", tag="v1")'
    (mine / "Snakefile").write_text(SNAKEFILE.format(where=where, more="", as_="", prefix=""))
    stands_for = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{project}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/me/darkroom",
    }
    for _ in range(2):  # fetched, and as it was kept
        done = snakemake(mine, "data/pictures/source.json", **stands_for)
        assert done.returncode == 0, done.stdout
        (mine / "data/pictures/source.json").unlink()
