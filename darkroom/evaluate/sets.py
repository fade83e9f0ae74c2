"""Sets of classes that hold the true one with a stated probability.

Split-conformal prediction (Vovk, Gammerman & Shafer 2005; Angelopoulos & Bates 2021,
arXiv:2107.07511): the validation rows say from which probability on a class belongs to the set, so
that of 100 new images like these at least 95 have their true class in it. How often the test rows
do is measured in `doubt`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.features.predictions import SET_LEVEL

Codes = NDArray[np.int64]
Shares = NDArray[np.floating[Any]]


def limit(truth: Codes, probabilities: Shares) -> float:
    """The probability from which on a class belongs to the set; 0 where rows are too few: every class.

    Parameters
    ----------
    truth : (V,) classes of the validation rows.
    probabilities : (V, K).
    """
    own = np.sort(probabilities[np.arange(len(truth)), truth])
    rank = int(np.floor((1 - SET_LEVEL) * (len(own) + 1) + 1e-9))
    return float(own[rank - 1]) if rank else 0.0
