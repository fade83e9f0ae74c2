"""Files that the catalogue of Snakemake workflows and snakedeploy look for."""

from __future__ import annotations

import re

import yaml

from darkroom import ROOT
from darkroom.config.compare import merged
from darkroom.config.settings import Settings


def test_the_deployed_configuration_lies_above_the_defaults() -> None:
    config, defaults = (
        yaml.safe_load((ROOT / path).read_text()) for path in ("config/config.yaml", "config.yaml")
    )
    assert Settings.load(merged(defaults, config)).run.datasets == ["digits"]


def test_the_readme_shows_a_configuration_that_is_valid() -> None:
    text = (ROOT / "config/README.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    defaults = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert Settings.load(merged(defaults, yaml.safe_load(shown))).run.datasets == ["photos"]
    assert 'snakefile: "../darkroom/Snakefile"' in text and "use rule * from darkroom" in text


def test_the_catalogue_is_told_how_to_run_it() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["mandatory-flags"]["flags"] == "--cores all"
    ways = usage["software-stack-deployment"]
    assert ways["conda"] and ways["apptainer"] and usage["report"]
    assert (ROOT / "envs/Containerfile").exists()
