"""Many trade rules as arrays, so that one compiled call goes through all of them."""

from typing import TypeAlias

import numpy as np

from toolkit.compiled import inlined
from toolkit.engine.types import Rules
from toolkit.types import FloatArray

N_RULE_NUMBERS = len(Rules._fields) - 1


def rule_table(rules: list[Rules]) -> tuple[FloatArray, FloatArray]:
    """Rules as arrays: float64[R, N_RULE_NUMBERS], and exit rules float64[R, K, 6] padded with rows that never hold."""
    numbers = np.array([[float(x) for x in r[:-1]] for r in rules]).reshape(len(rules), N_RULE_NUMBERS)
    depth = max((len(r.exit_rules) for r in rules), default=0)
    exits = np.zeros((len(rules), depth, 6))
    exits[:, :, 1] = np.inf
    for row, r in zip(exits, rules, strict=True):
        row[: len(r.exit_rules)] = r.exit_rules
    return numbers, exits


RuleNumbers: TypeAlias = tuple[
    int, float, int, int, float, int, int, float, int, bool, int, int, int, int, int, bool, int, int, int, int
]


@inlined
def rule_numbers(row: FloatArray) -> RuleNumbers:
    """One row of `rule_table` as the fields of `Rules` before its exit rules."""
    return (
        int(row[0]), row[1], int(row[2]), int(row[3]), row[4], int(row[5]), int(row[6]), row[7], int(row[8]),
        row[9] != 0.0, int(row[10]), int(row[11]), int(row[12]), int(row[13]), int(row[14]), row[15] != 0.0,
        int(row[16]), int(row[17]), int(row[18]), int(row[19]),
    )  # fmt: skip
