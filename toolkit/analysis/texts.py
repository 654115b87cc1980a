"""Figures as people read them: order, definitions, units."""

import math

from toolkit.analysis.metrics import METRICS
from toolkit.analysis.reference import REFERENCE

DEFINITIONS = METRICS | REFERENCE
SYNTHETIC = "SYNTHETIC DATA: seeded random bars, not a market. Nothing here says that a strategy earns money."

HEADLINE = (
    "total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_days",
    "max_drawdown_intraday", "trades", "open_trades", "win_rate", "profit_factor", "expectancy", "expectancy_r",
    "avg_win", "avg_loss", "worst_trade", "weeks_profitable", "months_profitable", "exposure", "turnover", "fees",
    "funding", "return_at_twice_costs", "ambiguous_trades", "ambiguous_pnl", *REFERENCE,
)  # fmt: skip

_FRACTIONS = {
    "total_return", "annual_return", "max_drawdown", "max_drawdown_intraday", "win_rate", "weeks_profitable",
    "months_profitable", "exposure", "return_at_twice_costs", "buy_and_hold_return", "buy_and_hold_max_drawdown",
}  # fmt: skip
_COUNTS = {"trades", "open_trades", "ambiguous_trades", "combinations_tried", "max_drawdown_days"}


def figure(name: str, value: float | None) -> str:
    """A figure with its unit: `12.3 %`, `1.24`, `310`; a dash where it is not defined."""
    if value is None or math.isnan(value):
        return "-"
    if name in _FRACTIONS:
        return f"{100 * value:,.2f} %"
    return f"{value:,.0f}" if name in _COUNTS else f"{value:,.2f}"


def label(name: str) -> str:
    """`max_drawdown` as `max drawdown`."""
    return name.replace("_", " ")
