"""What a leg's rules make of its raw entries before any of them is decided."""

import numpy as np

from toolkit.compiled import kernel
from toolkit.engine.hop import signal_at
from toolkit.engine.types import LegSignals, Rules
from toolkit.types import FloatArray


@kernel
def entry_distances(closes: FloatArray, signals: LegSignals, rules: Rules) -> FloatArray:
    """float64[2, n]: stop (or trail) and target distance of each raw entry, price units, NaN = none.

    closes : float64[n], the close that each was decided at.
    """
    out = np.empty((2, len(closes)))
    cursors = np.zeros(2, np.int64)
    for k in range(len(closes)):
        at = signal_at(signals.entry_t[k], closes[k], signals, rules, cursors)
        out[0, k] = at.trail_distance if np.isnan(at.stop_distance) else at.stop_distance
        out[1, k] = at.target_distance
    return out
