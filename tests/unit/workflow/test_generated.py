"""Generated files are in step with what they are made from."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from darkroom import ROOT
from darkroom.workflow import code
from darkroom.workflow.generated import PARTS, files, locked
from darkroom.workflow.stages import STAGES


def test_generated_files_are_in_step() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run `make generated`"


def test_the_two_locks_agree() -> None:
    run, dev = (locked(ROOT / "envs" / f"{name}.lock") for name in ("run", "dev"))
    assert run.items() <= dev.items()


def test_every_locked_package_has_a_hash() -> None:
    for name in ("run", "dev"):
        text = (ROOT / f"envs/{name}.lock").read_text()
        entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
        assert len(entries) > 100
        assert all("--hash=sha256:" in entry for entry in entries)


def test_no_opencv_build_that_wants_libgl() -> None:
    packages = locked(ROOT / "envs/run.lock")
    assert "opencv-python-headless" in packages and "opencv-python" not in packages


# Those of envs/backends.in, which a person installs.
BY_CHOICE = {"jax", "torch"}

# Modules whose package has another name.
PACKAGES = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def imported(script: Path) -> set[str]:
    """Top-level modules from outside that a script and what it reaches import anywhere."""
    files = [script, *map(code._file, code.reached(script))]
    names: set[str] = set()
    for file in [*files, *map(code._file, code.PRESENTATION)]:
        for node in ast.walk(code.at_run_time(ast.parse(file.read_text()))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"darkroom"}


def test_a_conda_environment_has_what_its_stages_import() -> None:
    for name, stage in STAGES.items():
        for module in imported(ROOT / "scripts" / f"{name}.py") - BY_CHOICE:
            package = PACKAGES.get(module, module)
            assert package in PARTS[stage.environment], f"{name} needs {module}"


def test_lock_conda_and_container_name_the_same_versions() -> None:
    """Each way to an environment, read by itself: the same Python, and packages of the one lock."""
    lock = locked(ROOT / "envs/run.lock")
    pythons = set()
    for path in (ROOT / f"envs/{part}.yaml" for part in PARTS):
        (base, tool, packages) = yaml.safe_load(path.read_text())["dependencies"]
        pythons.add(base.removeprefix("python="))
        assert tool == "pip" and set(packages) == {"pip"}
        pins = dict(pin.split("==") for pin in packages["pip"])
        assert pins.items() <= lock.items(), path
    steps = _steps((ROOT / "envs/Containerfile").read_text())
    assert [step for step, _ in steps] == ["ARG", "FROM", "COPY", "RUN", "ENV", "CMD"]
    told = dict(steps)
    pythons.add(re.fullmatch(r"BASE=python:([0-9.]+)-slim-bookworm", told["ARG"]).group(1))  # type: ignore[union-attr]
    assert pythons == {"3.12"}
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^CANDIDATES := .*,(python3\.12) ", makefile, flags=re.M)
    # the container installs that very lock, and as `make` does
    source, place = told["COPY"].split()
    assert (ROOT / source) == ROOT / "envs/run.lock" and told["RUN"].endswith(f" -r {place}")
    how = {"--require-hashes", "--no-deps", "--prefer-binary"}
    assert how <= set(told["RUN"].split())
    installs = re.findall(r"pip install .*-r \$<", makefile)
    assert installs and all(how <= set(line.split()) for line in installs)


def _steps(containerfile: str) -> list[tuple[str, str]]:
    """Instructions of a container file and what they are given."""
    joined = re.sub(r"\\\n\s*", "", containerfile)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def test_every_lock_of_this_folder_agrees_with_the_first() -> None:
    """Locks for more (tests, a cluster, other backends) add packages; none names another version."""
    run = locked(ROOT / "envs/run.lock")
    locks = sorted((ROOT / "envs").glob("*.lock"))
    assert len(locks) >= 5
    for path in locks:
        other = locked(path)
        both = run.keys() & other.keys()
        assert {name: other[name] for name in both} == {name: run[name] for name in both}, path


@pytest.fixture
def validator() -> jsonschema.Draft202012Validator:
    text = (ROOT / "schemas/config.schema.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


def test_the_schema_accepts_the_shipped_configuration(
    validator: jsonschema.Draft202012Validator,
) -> None:
    assert not list(validator.iter_errors(yaml.safe_load((ROOT / "config.yaml").read_text())))


def test_the_schema_refuses_what_the_settings_refuse(
    validator: jsonschema.Draft202012Validator,
) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["models"]["cnn"]["epoch"] = 3
    config["models"]["cnn"]["layers"].append({"denze": 3})
    config["classifiers"]["svm"]["kind"] = "svn"
    assert len(list(validator.iter_errors(config))) >= 3


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        ({"optimizer": "sgd"}, True),
        ({"optimizer": ["sgd", {"name": "adam", "learning_rate": 0.01}]}, True),
        ({"compare": {"a": {"optimizer": "adam", "epochs": 3}, "b": None, "c": {}}}, True),
        ({"optimizer": "adm"}, False),
        ({"optimizer": ["sgd", {"lr": 1}]}, False),
        ({"optimizer": []}, False),
        ({"compare": {"a": {"epoch": 3}}}, False),
        ({"compare": ["a"]}, False),
    ],
)
def test_the_schema_knows_the_forms_of_a_comparison(
    validator: jsonschema.Draft202012Validator, model: dict[str, Any], accepted: bool
) -> None:
    config = {"run": {"datasets": ["a"]}, "datasets": {"a": {"source": "a"}}}
    whole = config | {"models": {"cnn": {"layers": ["flatten"]} | model}}
    assert (not list(validator.iter_errors(whole))) is accepted
