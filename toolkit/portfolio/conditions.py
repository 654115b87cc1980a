"""The small language of selection rules: named figures compared with numbers, joined by `and` and `or`.

    expectancy > 0 and (sortino > 1 or win_rate >= 0.6)

It is Python's own grammar, of which nothing else is allowed: no calls, no arithmetic, no other names.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from toolkit.errors import InputError, UnknownNameError
from toolkit.types import BoolArray, FloatArray

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
_EXAMPLE = "'expectancy > 0 and win_rate >= 0.4'"


@dataclass(frozen=True)
class Condition:
    """One of the conditions that all have to hold.

    Attributes
    ----------
    text : as it was written. figures : names that it reads, in order, each once.
    """

    text: str
    figures: tuple[str, ...]
    _node: ast.expr

    def holds(self, columns: Mapping[str, FloatArray]) -> BoolArray:
        """bool[n] for columns float64[n] by figure; a comparison with NaN does not hold."""
        return _holds(self._node, columns)


def parse_conditions(text: str, known: Collection[str]) -> tuple[Condition, ...]:
    """The conditions of a rule that are joined by `and` at its outermost level; none of an empty text.

    Raises
    ------
    InputError : not a rule of this language; `UnknownNameError` for a figure that is not among `known`.
    """
    if not isinstance(text, str):
        raise InputError(f"a selection rule must be text such as {_EXAMPLE}, was {text!r}")
    text = " ".join(text.split())
    if not text:
        return ()
    try:
        body = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(
            f"selection rule {text!r} cannot be read; compare figures with numbers and join them with and, or: "
            f"{_EXAMPLE}"
        ) from None
    _check(body, text, known)
    parts = body.values if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And) else [body]
    return tuple(Condition(ast.get_source_segment(text, part) or text, _names(part), part) for part in parts)


def _check(node: ast.expr, text: str, known: Collection[str]) -> None:
    if isinstance(node, ast.BoolOp):
        for part in node.values:
            _check(part, text, known)
        return
    if not isinstance(node, ast.Compare) or not all(type(op) in _COMPARE for op in node.ops):
        shown = ast.get_source_segment(text, node) or text
        raise InputError(
            f"{shown!r} in the selection rule is no comparison with <, <=, > or >=; write it as in {_EXAMPLE}"
        )
    for side in (node.left, *node.comparators):
        if isinstance(side, ast.Name):
            if side.id not in known:
                raise UnknownNameError("figure of a selection rule", side.id, known)
        elif _number(side) is None:
            shown = ast.get_source_segment(text, side) or text
            raise InputError(f"{shown!r} in the selection rule is neither a figure nor a number; see {_EXAMPLE}")
    if not _names(node):
        raise InputError(f"{ast.get_source_segment(text, node)!r} in the selection rule compares no figure")


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _number(node.operand)
        return None if inner is None else -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    return None


def _names(node: ast.expr) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name)))


def _holds(node: ast.expr, columns: Mapping[str, FloatArray]) -> BoolArray:
    if isinstance(node, ast.BoolOp):
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        joined: BoolArray = reduce(join, (_holds(part, columns) for part in node.values))
        return joined
    assert isinstance(node, ast.Compare)
    sides = [_value(side, columns) for side in (node.left, *node.comparators)]
    pairs = zip(node.ops, sides, sides[1:], strict=False)
    found: BoolArray = reduce(np.logical_and, (_COMPARE[type(op)](a, b) for op, a, b in pairs))
    return found


def _value(node: ast.expr, columns: Mapping[str, FloatArray]) -> Any:
    return columns[node.id] if isinstance(node, ast.Name) else _number(node)
