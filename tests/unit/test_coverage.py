"""The simulation of the intervals runs, and its few lines come out near what the whole one finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import coverage


@pytest.mark.filterwarnings("ignore")
def test_the_quick_simulation_holds(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.argv", ["coverage", "--quick", "--repeats", "60"])
    coverage.main()
    lines = capsys.readouterr().out.splitlines()
    table = [[c.strip(" *") for c in line.split("|")[4:-1]] for line in lines if line[0] == "|"]
    assert len(table) == 2 + len(coverage.cases(quick=True))
    shares = np.array([float(c) if c != "–" else np.nan for line in table[2:] for c in line])
    shares = shares.reshape(-1, len(coverage.NAMES))
    assert np.isfinite(shares).sum() > 40
    # a share of 60 is known to 0.03, those of a line hang together, and 0.95 to 0.97 are true
    assert np.nanmin(shares) > 0.86
    assert np.nanmin(np.nanmean(shares, axis=1)) > 0.92
    told = dict(line.rsplit(None, 1) for line in lines if line[0] != "|" and "±" not in line)
    assert float(told["  intervals wholly above 0.5"]) <= 0.1
    (mean,) = (line for line in lines if line.startswith("chosen within each fold"))
    assert abs(float(mean.split()[-3]) - 0.5) < 0.04
    false = [float(v) for name, v in told.items() if "equal recipes" in name]
    assert len(false) > 1 and max(false) <= 0.15
    assert float(told["two equal recipes, one seed each"]) == 0


def test_a_share_is_settled_where_more_draws_would_not_move_it_over_an_end() -> None:
    def held(share: float, n: int) -> list[bool]:
        return [i < share * n for i in range(n)]

    assert coverage.settled(held(0.95, 400)) and coverage.settled(held(0.7, 400))
    assert not coverage.settled(held(0.935, 400)) and not coverage.settled(held(0.925, 400))
    assert coverage.settled(held(0.94, 1200)) and coverage.settled(held(0.89, 1200))
