"""`Dataset`: a row an entry signal, its features, what became of it and when that was known."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from toolkit.types import BoolArray, FloatArray, IntArray, Records

ROW = np.dtype(
    [
        ("member", np.int64),  # position in `Dataset.members`
        ("side", np.int64),  # LONG or SHORT
        ("t", np.int64),  # base bar at whose close it was decided, as in SIGNAL records
        ("ts", np.int64),  # that moment, epoch ms
        ("known", np.int64),  # moment (epoch ms) at which its trade had closed: the label is known from then on
        ("decision", np.int64),  # ACCEPTED, VETOED or REJECTED; refused ones are labelled by their shadow
        ("exit_reason", np.int64),
        ("ret", np.float64),  # profit after costs over the entry's notional
        ("r", np.float64),  # the same in multiples of what the first stop put at risk, NaN without one
    ]
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled entry signals, ascending by `(ts, member, side)`.

    Attributes
    ----------
    features : names of the columns of `x`, as `features.check_features` returns them.
    x : float64[n, k], as known when each entry was decided; NaN = missing.
    rows : ROW[n]. members : instance ids. strategies, symbols : of each member.
    label : how `y` was made, see `labels.LabelRule`. y : float64[n], 1 = take it, 0 = leave it.
    weight : float64[n], how unique each row is among the trades open at the same time, mean 1.
    left_out : how many signals have no row, by why (never filled, still open at the end).
    """

    features: tuple[str, ...]
    x: FloatArray
    rows: Records
    members: tuple[str, ...]
    strategies: tuple[str, ...]
    label: str
    y: FloatArray
    weight: FloatArray
    left_out: Mapping[str, int]
    symbols: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: IntArray | BoolArray) -> "Dataset":
        """Some of the rows, by position or mask, in their order."""
        return replace(
            self, x=self.x[chosen], rows=self.rows[chosen], y=self.y[chosen], weight=self.weight[chosen]
        )  # fmt: skip

    def known_by(self, moment_ms: int) -> "Dataset":
        """The rows whose outcome was known at a moment: nothing else may be learned from then."""
        return self.take(self.rows["known"] <= moment_ms)

    def of_strategy(self, name: str) -> "Dataset":
        """The rows of one strategy's members."""
        mine = np.array([strategy == name for strategy in self.strategies], np.bool_)
        return self.take(mine[self.rows["member"]])

    @property
    def symbol(self) -> IntArray:
        """int64[n]: a number for the symbol of each row; 0 where it is not known."""
        numbers = {name: k for k, name in enumerate(dict.fromkeys(self.symbols))}
        of_member = np.array([numbers[name] for name in self.symbols] or [0] * len(self.members), np.int64)
        found: IntArray = of_member[self.rows["member"]]
        return found

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) over everything that a model could learn from."""
        digest = hashlib.sha256(repr((self.features, self.members, self.label)).encode())
        for array in (self.x, self.rows, self.y, self.weight):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
