"""`python -m darkroom predict` as a person uses it."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from darkroom import ROOT
from darkroom.__main__ import main
from tests.support.small_chain import Chain

NETWORK = "results/shapes/fold-1/tiny-seed0/model.onnx"


def predict(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, what was printed, what was said on stderr."""
    status = main(["predict", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_one_picture(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    path = chain.said("fold-1", "tiny-seed0", "head").index[0]
    own = chain.said("fold-1", "tiny-seed0", "head").loc[path]
    status, out, err = predict(capsys, NETWORK, f"pictures/{path}")
    assert status == 0
    head, line = out.splitlines()
    assert head.split() == ["file", "class", "probability", "others"]
    name, other = ("disc", "cross") if own["predicted"] else ("cross", "disc")
    assert line.split() == [
        f"pictures/{path}", name, f"{own[f'p:{name}']:.3f}", other, f"{own[f'p:{other}']:.3f}",
    ]  # fmt: skip
    assert err == (
        "fold-1/tiny-seed0 of shapes; classes: 0 cross, 1 disc; disc is predicted from a probability "
        "of 0.5 on\n"
    )


@pytest.mark.parametrize(
    "model",
    [
        "results/shapes/fold-2/tiny-seed0",
        "results/shapes/fold-2/tiny-seed0/svm",
        "results/shapes/fold-2/pixels/svm/model.skops",
    ],
)
def test_what_may_be_named(chain: Chain, capsys: pytest.CaptureFixture[str], model: str) -> None:
    status, out, err = predict(capsys, model, "pictures/disc/000.png", "pictures/cross", "--csv")
    assert status == 0
    table = pandas.read_csv(io.StringIO(out))
    assert table["file"][0] == "pictures/disc/000.png"
    assert table["file"][1] == "pictures/cross/000.png" and len(table) == 25
    name = table["model"][0]
    assert err.startswith(f"{name} of shapes; ")
    fold, features, *classifier = name.split("/")
    own = chain.said(fold, features, classifier[0] if classifier else "head")
    here = table[table["file"].str.removeprefix("pictures/").isin(own.index)]
    assert len(here) > 5
    paths = here["file"].str.removeprefix("pictures/")
    assert here["p:disc"].to_numpy() == pytest.approx(own.loc[paths, "p:disc"].to_numpy(), abs=2e-6)


def test_of_results_with_folds_all_predict_together(
    chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = predict(capsys, "results/shapes", "pictures/cross", "--csv")
    table = pandas.read_csv(io.StringIO(out))
    (name,) = table["model"].unique()
    assert status == 0 and name.startswith("folds/")
    assert err.startswith(f"{name} (mean of the probabilities of 2 folds) of shapes; ")
    alone = []
    for fold in ("fold-1", "fold-2"):
        place = f"results/shapes/{name.replace('folds', fold)}"
        said = predict(capsys, place, "pictures/cross", "--csv")[1]
        alone.append(pandas.read_csv(io.StringIO(said))["p:disc"])
    assert table["p:disc"].to_numpy() == pytest.approx(sum(alone) / 2, abs=2e-6)


def test_bad_pictures_are_listed_and_the_others_go_on(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "note.jpg"
    bad.write_text("This was to be a photograph.\n" * 20)
    status, out, _ = predict(
        capsys, NETWORK, str(bad), str(tmp_path / "gone.png"), "pictures/disc/000.png"
    )
    assert status == 1
    lines = out.splitlines()[1:]
    assert lines[0].endswith("unusable: not an image: text")
    assert lines[1].endswith("unusable: cannot be read: no such file or directory")
    assert lines[2].split()[1] in ("cross", "disc")


def test_the_threshold_of_the_run_holds_unless_another_is_given(
    chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.evaluate(threshold=0.97)
    try:
        model = "results/shapes/fold-1/pixels/svm"
        _, out, err = predict(capsys, model, "pictures", "--csv")
        assert "disc is predicted from a probability of 0.97 on" in err
        table = pandas.read_csv(io.StringIO(out))
        assert ((table["predicted"] == "disc") == (table["p:disc"] >= 0.97)).all()
        _, out, err = predict(capsys, model, "pictures", "--csv", "--threshold", "0.2")
        assert "from a probability of 0.2 on" in err
        table = pandas.read_csv(io.StringIO(out))
        assert ((table["predicted"] == "disc") == (table["p:disc"] >= 0.2)).all()
    finally:
        chain.evaluate()


def test_a_network_away_from_its_results_has_one_half(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(NETWORK, tmp_path / "mine.onnx")
    status, _, err = predict(capsys, str(tmp_path / "mine.onnx"), "pictures/disc/000.png")
    assert status == 0
    assert err.startswith("fold-1/mine of shapes; ") and "of 0.5 on" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.onnx", "x.png"], "nothing.onnx: there is no such model\n"),
        (["pictures", "x.png"], "pictures: no model stands in this folder"),
        ([NETWORK, "--threshold", "2", "x.png"], "--threshold: 2.0 is no probability"),
        ([NETWORK, "empty"], "empty: there is no picture in this folder"),
    ],
)
def test_mistakes_are_a_sentence(
    chain: Chain, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (chain.root / "empty").mkdir(exist_ok=True)
    status, out, err = predict(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith(said) and err.count("\n") == 1


def test_help_is_there_at_once() -> None:
    code = (
        "import sys\n"
        "from darkroom.__main__ import main\n"
        "try:\n"
        "    main(['predict', '--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert not {'tensorflow', 'keras', 'numpy', 'cv2', 'sklearn'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "exit status: 0 when every picture was predicted" in " ".join(done.stdout.split())


def test_a_process_of_its_own_is_quiet(chain: Chain) -> None:
    """No word of a framework, and none is imported."""
    code = (
        "import sys; from darkroom.__main__ import main\n"
        "for model in sys.argv[2:]:\n"
        "    assert main(['predict', model, sys.argv[1]]) == 0\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'torch', 'onnx'} & set(sys.modules)))\n"
    )
    models = [NETWORK, NETWORK.replace("model.onnx", "svm/model.skops")]
    done = subprocess.run(
        [sys.executable, "-c", code, "pictures/disc/000.png", *models],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5 and done.stdout.endswith("[]\n")
    assert len(done.stderr.splitlines()) == 2, done.stderr
