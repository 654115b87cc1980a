"""The smallest lookback that suffices at the tested bars, beside the declared one."""

import numpy as np

from toolkit.bars.series import Bars
from toolkit.errors import StrategyError
from toolkit.verify.bits import differing
from toolkit.verify.points import Points
from toolkit.verify.subjects import Arrays, StrategySubject


def smallest_lookback(
    subject: StrategySubject, history: Bars, points: Points, whole: Arrays, declared: int
) -> int | None:
    """Fewest signal bars on which every tested bar has the value of the whole history, None where none was enough.

    Looked for up to four times the declared lookback. At one bar, a window may be enough by chance; all tested bars
    are held against the result again, until none asks for more.
    """
    search = _Search(subject, history, whole)
    n, before = 1, 0
    while n != before:
        before = n
        for point in points.index:
            grown = search.at(int(point), n, declared)
            if grown is None:
                return None
            n = grown
    return n


class _Search:
    def __init__(self, subject: StrategySubject, history: Bars, whole: Arrays) -> None:
        self._subject, self._history, self._whole = subject, history, whole

    def at(self, point: int, n: int, declared: int) -> int | None:
        """Fewest bars, at least `n`, that are enough at this bar."""
        if self._enough(point, n):
            return n
        low, high = n, max(declared, n + 1)
        while not self._enough(point, high):
            low, high = high, 2 * high
            if high > 4 * declared + 4 or high > point + 1:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._enough(point, middle) else (middle, high)
        return high

    def _enough(self, point: int, n: int) -> bool:
        history = self._history
        known = int(history.close_ts[point])
        try:
            said = self._subject.arrays(history.window(known - n * history.interval_ms, known))
        except StrategyError:
            # A strategy need not run on fewer bars than it declares.
            return False
        return not any(
            differing(values[-1:], np.asarray(self._whole[name])[point : point + 1]).any()
            for name, values in said.items()
        )
