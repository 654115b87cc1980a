"""The first things to read: what the run is worth and how much to believe it."""

from collections.abc import Iterator

from toolkit.analysis.portfolio_report.blocks import Cell, Column, Fact, Facts, Note, Row, Section, Table, missing
from toolkit.analysis.portfolio_report.source import Source
from toolkit.analysis.texts import DEFINITIONS, HEADLINE, SYNTHETIC, figure, label

SHOWN = (
    "total_return", "annual_return", "sharpe", "sortino", "max_drawdown", "calmar", "win_rate", "profit_factor",
    "expectancy", "trades", "return_at_twice_costs", "buy_and_hold_return",
)  # fmt: skip
_SIGNED = {"total_return", "annual_return", "sharpe", "sortino", "expectancy", "return_at_twice_costs"}
NOTE = (
    "Figures follow daily marks: equity at 00:00 UTC, an open trade at its last close. A day's return is its profit "
    "over the equity it began with. Open trades count in equity, not in the trade figures."
)


def banners(source: Source) -> Iterator[Note]:
    """What has to be said before any figure: random bars, and whether the period was seen by the choice."""
    if source.results.get("synthetic"):
        yield Note(SYNTHETIC, "warn")
    tried = source.results.get("combinations_tried")
    count = f"{tried:,.0f}" if isinstance(tried, int | float) and not missing(tried) else None
    in_sample = source.results.get("in_sample")
    if in_sample is None:
        said = f"{count} combinations were tried. " if count else "How many combinations were tried is not known. "
        yield Note(
            said + "Nor is it known whether these instances were chosen on the days they are judged on; if they were, "
            "expect less from days not seen.",
            "caution",
        )
    elif in_sample:
        tries = f"{count} combinations were tried on them, and the" if count else "The"
        yield Note(
            f"IN SAMPLE. These instances were chosen on the same days that they are judged on. {tries} best of many is "
            f"luck in part: expect less from days not seen.",
            "warn",
        )
    else:
        tries = f"{count} combinations were tried to find them." if count else "How many were tried is not known."
        yield Note(f"Out of sample: the instances were chosen before this period begins. {tries}", "good")


def overview(source: Source) -> Section:
    """Headline figures, and all of them beside the variants'."""
    figures = source.results["figures"]
    facts = [_fact(name, figures.get(name)) for name in SHOWN]
    return Section("overview", "At a glance", [Facts(facts), _all(source), Note(NOTE, "soft")])


def _fact(name: str, value: float | None) -> Fact:
    tone = ""
    if name in _SIGNED and not missing(value) and value:
        tone = "gain" if value > 0 else "loss"
    return Fact(label(name), figure(name, value), DEFINITIONS[name], name, value, tone)


def _all(source: Source) -> Table:
    figures = source.results["figures"]
    others = {k: v for k, v in source.results.get("variants", {}).items() if k != "portfolio" and v}
    columns = [Column("figure", numeric=False), Column("portfolio"), *(Column(label(name)) for name in others)]
    columns.append(Column("what it is", numeric=False, wide=True))
    names = [n for n in HEADLINE if n in figures] + [n for n in figures if n not in HEADLINE and n in DEFINITIONS]
    rows = []
    for name in names:
        cells = [Cell(label(name), sort=label(name)), _value(name, figures[name], name)]
        cells += [_value(name, other.get(name), "") for other in others.values()]
        rows.append(Row([*cells, Cell(DEFINITIONS[name])]))
    return Table("figures", columns, rows, folded=f"All {len(rows)} figures, and what each one is", sortable=False)


def _value(name: str, value: float | None, shown: str) -> Cell:
    return Cell(figure(name, value), sort=None if missing(value) else value, figure=shown)
