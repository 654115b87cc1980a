"""The question that a model has to answer: what is it without one, what with each way of applying one."""

from collections.abc import Mapping
from typing import Any

from toolkit.analysis.portfolio_report.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Fact,
    Facts,
    Note,
    Pair,
    Row,
    Section,
    Table,
    missing,
    words,
)
from toolkit.models.report.cells import (
    METHODS,
    chance_cell,
    count,
    differences,
    interval,
    no_clear_difference,
    ratio,
    share,
    signed,
)
from toolkit.models.report.source import Source

_ROLES = {"veto": "c1", "quantile": "c2", "kelly": "c3", "rank": "c4"}
_LEAD = (
    "Every figure after is of paths that were simulated anew with the model in the loop, on days that it had not "
    "learned from: a refused entry changes what comes after it. Each strategy trades a fixed notional."
)


def answer(source: Source) -> Section | None:
    """Before and after, pooled."""
    pooled = source.pooled
    if not pooled:
        return None
    blocks: list[Block] = [Facts(_facts(source)), _table(pooled), Pair(_before_after(pooled), _differences(pooled))]
    blocks += _equity(source)
    return Section("answer", "Before and after", blocks, _LEAD)


def _facts(source: Source) -> list[Fact]:
    name = source.chosen or next(iter(source.pooled))
    row = source.pooled[name]
    figure = str(row["figure"])
    p, deflated = row.get("p_value"), row.get("deflated_sharpe")
    unclear = no_clear_difference(row)
    gain = row["difference"]
    return [
        Fact(f"{figure} before", ratio(row["before"]).text, "all members, without a model", value=row["before"]),
        Fact(f"{figure} after", ratio(row["after"]).text, f"with {name}: {METHODS.get(name, '')}", value=row["after"]),
        Fact(
            "difference", signed(gain), f"95 % of resampled histories: {interval(row).text}",
            value=gain, tone="" if unclear or missing(gain) else "gain" if gain > 0 else "loss",
        ),
        Fact(
            "p-value", chance_cell(row).text,
            f"how often the same model on permuted labels did as well, of {row['permutations']:,}", value=p,
        ),
        Fact(
            "deflated Sharpe", share(deflated).text,
            f"probability that the Sharpe ratio after is above 0, the best of {row['trials']:,} tried", value=deflated,
        ),
    ]  # fmt: skip


def _table(pooled: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = [
        Column("applied by", numeric=False), Column("Sortino before"), Column("after"), Column("difference"),
        Column("95 % interval"), Column("p-value"), Column("Sharpe before"), Column("after"), Column("trades before"),
        Column("after"), Column("deflated Sharpe", hint="probability that the Sharpe ratio after is above 0"),
    ]  # fmt: skip
    rows = [
        Row(
            [
                words(name, METHODS.get(name, "")), ratio(row["sortino_before"]), ratio(row["sortino_after"]),
                Cell(signed(row["difference"]), sort=row["difference"]), interval(row), chance_cell(row),
                ratio(row["sharpe_before"]), ratio(row["sharpe_after"]), count(row.get("trades_before")),
                count(row.get("trades_after")), share(row.get("deflated_sharpe")),
            ]
        )
        for name, row in pooled.items()
    ]  # fmt: skip
    return Table("pooled", columns, rows, title="All members together")


def _before_after(pooled: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Bars before and after; the interval of the difference stands on the bar after."""
    rows = list(pooled.values())
    series: list[dict[str, Any]] = [
        {"name": when, "y": [row[when] for row in rows], "role": role,
         "text": [f"{name}, {when}: {ratio(row[when]).text}" for name, row in pooled.items()]}
        for when, role in (("before", "muted"), ("after", "c1"))
    ]  # fmt: skip
    if all(not missing(row["low"]) and not missing(row["before"]) for row in rows):
        series[1] |= {end: [row["before"] + row[end] for row in rows] for end in ("low", "high")}
    data = {"kind": "grouped", "unit": "number", "x": list(pooled), "series": series}
    caption = "The whisker is the 95 % interval of the difference, from the bar before on."
    return Chart("before-after-chart", f"{_figure(pooled)} before and after", data, caption, 260)


def _differences(pooled: Mapping[str, Mapping[str, Any]]) -> Block:
    title = f"Difference in {_figure(pooled)}, with its 95 % interval"
    caption = "An interval that holds 0 is a difference that resampled days alone would explain."
    return differences("difference-chart", title, pooled.items(), caption) or Note(
        "No interval of the difference: it needs at least 20 days and losses among them.", "missing"
    )


def _figure(pooled: Mapping[str, Mapping[str, Any]]) -> str:
    return str(next(iter(pooled.values()))["figure"]).capitalize()


def _equity(source: Source) -> list[Block]:
    daily = source.tables.get("daily")
    if daily is None or daily.height < 2:
        return [Note("No lines: they need two days out of sample.", "missing")]
    dates = daily["date"].dt.strftime("%Y-%m-%d").to_list()
    lines = [
        {"name": "before", "x": dates, "y": daily["before"].cum_sum().to_list(), "role": "muted", "width": 2.2}
    ]  # fmt: skip
    lines += [
        {"name": name, "x": dates, "y": daily[name].cum_sum().to_list(), "role": _ROLES.get(name, "c6"), "width": 1.6}
        for name in source.pooled if name in daily.columns
    ]  # fmt: skip
    if "before_rank" in daily.columns:
        before = daily["before_rank"].cum_sum().to_list()
        lines.append({"name": "before, with rank's slots", "x": dates, "y": before, "role": "muted", "dash": "dot"})
    return [
        Chart(
            "pooled-equity-chart", "Profit out of sample, all members together",
            {"kind": "lines", "unit": "number", "series": lines, "zero": True},
            "Sum over members in units of one trade's notional, by UTC day. Rank trades with limited slots, and is "
            "compared with the same slots without a model.",
            340,
        )
    ]  # fmt: skip
