"""How long is waited before a next try."""

import random
from collections.abc import Callable


class Backoff:
    """Pauses that double with every failure in a row, up to a limit, each shortened at random by up to a half.

    Parameters
    ----------
    first_secs, most_secs : the shortest and the longest pause before it is shortened.
    chance : gives numbers in [0, 1): many that failed together must not come back together.
    """

    def __init__(
        self, first_secs: float = 1.0, most_secs: float = 300.0, chance: Callable[[], float] = random.random
    ) -> None:
        self._first_secs, self._most_secs, self._chance = first_secs, most_secs, chance
        self.failures = 0

    def failed(self) -> float:
        """Seconds to wait after one more failure."""
        # Beyond 2**60 a float's pause would overflow long before anybody had waited for it.
        pause = min(self._most_secs, self._first_secs * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return pause * (1.0 - 0.5 * self._chance())

    def reset(self) -> None:
        """The next failure is the first."""
        self.failures = 0
