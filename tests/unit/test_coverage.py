"""The simulation of the intervals runs, and its few lines come out near what the whole one finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import coverage


@pytest.mark.filterwarnings("ignore")
def test_the_quick_simulation_holds(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.argv", ["coverage", "--quick", "--repeats", "80"])
    coverage.main()
    lines = capsys.readouterr().out.splitlines()
    cases = [line.split("|") for line in lines if "|" in line][1:]
    assert len(cases) == len(coverage.cases(quick=True))
    shares = np.array([float(c.strip(" *")) for case in cases for c in case[1:] if "–" not in c])
    assert len(shares) > 30
    assert shares.mean() > 0.93 and shares.min() > 0.86
    told = dict(line.rsplit(None, 1) for line in lines if "|" not in line and "±" not in line)
    assert float(told["intervals wholly above 0.5".rjust(28)]) <= 0.1
    (mean,) = (line for line in lines if line.startswith("chosen within each fold"))
    assert abs(float(mean.split(":")[1].split()[-3]) - 0.5) < 0.04
    false = [float(v) for name, v in told.items() if "equal recipes" in name]
    assert len(false) > 1 and max(false) <= 0.15
    assert float(told["two equal recipes, one seed each"]) == 0
