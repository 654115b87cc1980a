"""Cells that several tables of a model run's page share."""

from collections.abc import Iterable, Mapping
from typing import Any

from toolkit.analysis.portfolio_report.blocks import Cell, Chart, missing, number

METHODS: Mapping[str, str] = {
    "veto": "taken from a probability on",
    "quantile": "only the likeliest share is taken",
    "kelly": "sized by probability",
    "rank": "likeliest first into limited slots",
}
"""What each way of applying a model does with an entry, in a few words."""


def ratio(value: float | None, scale: float | None = None) -> Cell:
    """A Sortino or Sharpe ratio; tinted against `scale` where that is given."""
    cell = number(value)
    if scale is None or value is None or missing(value):
        return cell
    return Cell(cell.text, sort=cell.sort, tint=max(-1.0, min(1.0, value / scale)))


def signed(value: float | None) -> str:
    return "-" if value is None or missing(value) else f"{value:+,.2f}"


def interval(row: Mapping[str, Any]) -> Cell:
    """The interval of a difference."""
    low, high = row.get("low"), row.get("high")
    if missing(low) or missing(high):
        return Cell("-")
    return Cell(f"{signed(low)} to {signed(high)}", sort=low)


def chance_cell(row: Mapping[str, Any]) -> Cell:
    """A p-value with the number of permutations that it comes from."""
    p = row.get("p_value")
    if p is None or missing(p):
        return Cell("-")
    return Cell(f"{p:.3f}", small=f"{row.get('permutations', 0):,} permutations", sort=p)


def share(value: float | None) -> Cell:
    return Cell("-") if value is None or missing(value) else Cell(f"{100 * value:.1f} %", sort=value)


def count(value: int | None) -> Cell:
    return number(value, digits=0)


def no_clear_difference(row: Mapping[str, Any]) -> bool:
    """Whether 0 is inside the interval of the difference, or there is no interval."""
    low, high = row.get("low"), row.get("high")
    return low is None or high is None or low <= 0.0 <= high


def differences(id_: str, title: str, rows: Iterable[tuple[str, Mapping[str, Any]]], caption: str = "") -> Chart | None:
    """Differences with their intervals, a line each; nothing where none has an interval."""
    known = [(name, row) for name, row in rows if not missing(row["low"]) and not missing(row["difference"])]
    if not known:
        return None
    names = [name for name, _ in known]
    series = {
        "name": "after less before", "x": names, "role": "c1",
        "y": [row["difference"] for _, row in known], "low": [row["low"] for _, row in known],
        "high": [row["high"] for _, row in known],
        "text": [f"{signed(row['difference'])} ({interval(row).text})" for _, row in known],
    }  # fmt: skip
    data = {"kind": "intervals", "unit": "number", "series": [series], "order": names}
    return Chart(id_, title, data, caption, 90 + 40 * len(names))
