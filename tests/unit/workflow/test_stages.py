"""A stage has one name: the table, rules, scripts and settings agree on it."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from darkroom import ROOT
from darkroom.config import stages as readers
from darkroom.workflow import code
from darkroom.workflow.generated import PARTS
from darkroom.workflow.stages import STAGES


def rules() -> dict[str, str]:
    """The text of every rule that has a script, by its name, in the order of the Snakefile."""
    included = re.findall(r'^include: "(rules/\w+\.smk)"', (ROOT / "Snakefile").read_text(), re.M)
    texts = [
        part
        for path in included
        for part in re.split(r"^rule ", (ROOT / path).read_text(), flags=re.M)[1:]
    ]
    return {text.split(":")[0]: text for text in texts if "    script:" in text}


RULES = rules()


def test_every_stage_has_a_rule_a_script_and_settings() -> None:
    assert list(STAGES) == list(RULES)
    assert set(STAGES) == {path.stem for path in (ROOT / "scripts").glob("*.py")}
    functions = inspect.getmembers(readers, inspect.isfunction)
    own = {name for name, f in functions if f.__module__ == readers.__name__ and name[0] != "_"}
    assert set(STAGES) == own - {"stage_settings"}
    assert {stage.environment for stage in STAGES.values()} == set(PARTS)


@pytest.mark.parametrize("name", list(RULES))
def test_a_rule_says_its_name_alone(name: str) -> None:
    """Files and helpers of a rule are those of its name, and none is another's."""
    text = RULES[name]
    assert f'"../scripts/{name}.py"' in text
    assert f'STAGES["{name}"].conda' in text
    assert f'**resources("{name}")' in text
    assert f'cfg=params.cfg("{name}")' in text
    assert f'code=code("{name}"' in text
    assert re.search(rf'"logs/.*/{name}[-.]', text), "the log"
    assert name == "write_report" or re.search(rf'/{name}[-.][^/]*tsv"', text), "the benchmark"
    others = set(re.findall(r'(?:cfg|code|resources)\("(\w+)"', text))
    assert others == {name}


@pytest.mark.parametrize("name", list(STAGES))
def test_a_script_calls_the_function_of_its_name(name: str) -> None:
    assert re.search(rf"\b{name}\(", (ROOT / f"scripts/{name}.py").read_text())


@pytest.mark.parametrize("name", list(STAGES))
def test_a_script_imports_its_stage_within_stage(name: str) -> None:
    """Imports take a second or two, in which Ctrl-C would bring a traceback."""
    text = (ROOT / f"scripts/{name}.py").read_text()
    assert re.findall(r"^from darkroom\S* import .*", text, re.M) == [
        "from darkroom.machine.stage import stage"
    ]


@pytest.mark.parametrize("name", list(STAGES))
def test_a_stage_that_loads_a_framework_says_how_many_gpus(name: str) -> None:
    """One that says nothing would see all of them, those that other jobs have locked too."""
    framework = code._file("darkroom.train.keras_backend")
    assert framework.exists()
    loads = "darkroom.train.keras_backend" in code.reached(ROOT / "scripts" / f"{name}.py")
    assert loads == (STAGES[name].gpus is not None)


def test_the_snakefile_hides_no_name_of_snakemake() -> None:
    """Its names are those of Snakemake's own module: another `Resources` there breaks Snakemake."""
    import snakemake.api
    import snakemake.workflow

    source = (ROOT / "rules/common.smk").read_text()
    python = re.split(r"^(?:onstart|container|wildcard_constraints):", source, flags=re.M)
    tree = ast.parse(python[0])
    names = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    assert {"run", "settings", "inputs", "STAGES"} <= names
    known = vars(snakemake.workflow)
    assert not {name for name in names & set(known) if name != "Path"}
