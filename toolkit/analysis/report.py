"""A run as one page: `report.html`, which needs no network, fits a phone, and follows the reader's light or dark."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import polars as pl

from toolkit.analysis.runs import Run
from toolkit.analysis.svg import area_chart
from toolkit.analysis.texts import DEFINITIONS, HEADLINE, SYNTHETIC, figure, label
from toolkit.durable import durable
from toolkit.errors import RunError

if TYPE_CHECKING:
    from toolkit.analysis.result import BacktestResult

TOP_ROWS = 25
_TOP_COLUMNS = (
    "strategy", "symbol", "interval", "side", "total_return", "sharpe", "max_drawdown", "trades", "win_rate",
    "profit_factor", "return_at_twice_costs", "buy_and_hold_return",
)  # fmt: skip
_NOTE = (
    "Figures follow daily marks: equity at 00:00 UTC, an open trade at its last close. Open trades count in equity, "
    "not in the trade figures."
)


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run's folder, finished or still being written, from what is in it.

    Raises
    ------
    RunError : the folder cannot be read or written.
    """
    path = run_folder / "report.html"
    page = render(Run(run_folder))
    try:
        with durable(path) as file:
            file.write(page.encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; make room and run again") from error
    return path


def render(run: Run) -> str:
    """The page's HTML."""
    info, tables = run.info, run.tables
    title = f"{info['kind']} {info['run_id']}"
    parts = [f"<h1>{escape(_headline(info))}</h1>", f'<p class="soft">{escape(title)} · {escape(info["started"])}</p>']
    if any(series["exchange"] == "synthetic" for series in info.get("data", [])):
        parts.append(f'<p class="synthetic">{escape(SYNTHETIC)}</p>')
    if "top" in tables:
        parts += _combinations(run.frame("top"), info)
    elif "metrics" in tables:
        parts += _metrics(run.frame("metrics").row(0, named=True))
    if "equity" in tables:
        parts += _equity(run.frame("equity"), float(info["config"]["notional"]))
    if "top_equity" in tables and run.frame("top").height:
        first = run.frame("top")["instance"][0]
        parts.append(f"<p>Below: {escape(first)}, the first of the table.</p>")
        parts += _equity(run.frame("top_equity").filter(instance=first), float(info["config"]["notional"]))
    if "trades" in tables and info["kind"] == "backtest":
        parts += _exits(run.frame("trades"))
    if "ambiguity" in info:
        parts += _ambiguity(info["ambiguity"])
    parts += _config(info)
    return _page(title, parts)


def _page(title: str, parts: Iterable[str]) -> str:
    template = (files("toolkit.analysis") / "report_template.html").read_text(encoding="utf-8")
    return Template(template).substitute(title=escape(title), body="\n".join(parts))


def _headline(info: dict[str, Any]) -> str:
    config = info["config"]
    if "instance" in config:
        return f"{config['strategy']} on {config['symbol']} {config['interval']}, {config['start']} to {config['end']}"
    return f"{info['kind'].capitalize()} {config.get('name', '')}".strip()


def _metrics(row: dict[str, Any]) -> list[str]:
    rows = [(label(name), figure(name, row.get(name)), DEFINITIONS[name]) for name in HEADLINE if name in row]
    return [
        "<h2>Figures</h2>",
        _table(("figure", "value", "what it is"), rows, numeric={1}),
        f"<p class=soft>{_NOTE}</p>",
    ]


def _combinations(top: pl.DataFrame, info: dict[str, Any]) -> list[str]:
    """The best rows of a sweep (its `top` table), and how many were tried to find them."""
    tried, by = int(info["combinations"]), str(info["config"]["by"])
    best = top.head(TOP_ROWS)
    shown = [c for c in _TOP_COLUMNS if c in best.columns]
    header = [*(label(c) for c in shown), "parameters and rules"]
    rows = [[*(_cell(c, row[c]) for c in shown), _settings(row)] for row in best.iter_rows(named=True)]
    text = (
        f"{tried:,} combinations were tried on the same history. The best of so many looks good by luck alone: judge "
        f"it on bars that it was not chosen on, and by whether its neighbours do as well."
    )
    return [
        f"<h2>The best {len(rows)} of {tried:,} combinations, by {escape(label(by))}</h2>",
        f"<p>{text}</p>",
        '<div class="top">',
        _table(header, rows, numeric={k for k, name in enumerate(shown) if name in DEFINITIONS}),
        "</div>",
        f'<p class="soft">{_NOTE}</p>',
    ]


def _cell(name: str, value: Any) -> str:
    return figure(name, value) if name in DEFINITIONS else str(value)


def _settings(row: dict[str, Any]) -> str:
    """`window=96, stop=2atr(14)` of a row with `param_` and `rule_` columns."""
    named = ((name.partition("_"), value) for name, value in row.items())
    return ", ".join(f"{n[2]}={v}" for n, v in named if n[0] in ("param", "rule") and v is not None)


def _equity(equity: pl.DataFrame, capital: float) -> list[str]:
    days = equity["ts"].dt.strftime("%Y-%m-%d").to_list()
    return [
        "<h2>Equity</h2>",
        area_chart("Equity by day, money", equity["equity"].to_numpy(), days, base=capital),
        "<h2>Drawdown</h2>",
        area_chart("Drawdown by day", equity["drawdown"].to_numpy(), days, base=0.0, percent=True),
    ]


def _exits(trades: pl.DataFrame) -> list[str]:
    by_reason = (
        trades.group_by("exit_reason")
        .agg(
            pl.len().alias("trades"),
            (pl.col("pnl") > 0).mean().alias("win_rate"),
            pl.col("pnl").sum(),
            pl.col("fees").sum(),
            pl.col("bars_held").median().alias("held"),
        )
        .sort("trades", "exit_reason", descending=[True, False])
    )
    rows = [
        (r["exit_reason"], str(r["trades"]), figure("win_rate", r["win_rate"]), f"{r['pnl']:,.2f}", f"{r['fees']:,.2f}",
         f"{r['held']:,.0f}")
        for r in by_reason.iter_rows(named=True)
    ]  # fmt: skip
    header = ("exit", "trades", "won", "profit", "fees", "median base bars held")
    return ["<h2>How trades ended</h2>", _table(header, rows, numeric={1, 2, 3, 4, 5})]


def _ambiguity(found: dict[str, Any]) -> list[str]:
    text = (
        f"{found['trades']:,} trades met a bar that reached both stop and target; {found['pnl_at_stake']:,.2f} of "
        f"profit hangs on which came first. Profit under policy {found['policy']}: {found['pnl']:,.2f}; best case "
        f"{found['best_pnl']:,.2f}, worst case {found['worst_pnl']:,.2f}."
    )
    return ["<h2>What one bar does not tell</h2>", f"<p>{escape(text)}</p>"]


def _config(info: dict[str, Any]) -> list[str]:
    shown = {"config": info["config"], "data": info.get("data", []), "code": info["code"], "versions": info["versions"]}
    text = escape(json.dumps(shown, indent=2, default=str))
    return ["<h2>Rules, costs, data, code</h2>", f"<details><summary>run.json</summary><pre>{text}</pre></details>"]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: set[int]) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        kind = (' class="n"' if k in numeric else "" for k in range(len(row)))
        return "".join(f"<{tag}{c}>{escape(v)}</{tag}>" for c, v in zip(kind, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells("th", header)}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def result_html(result: "BacktestResult") -> str:
    """A result in a notebook: a line of what it is, its main figures."""
    config, metrics = result.config, result.metrics
    title = f"{config['instance']}, {config['start']} to {config['end']}"
    names = [name for name in HEADLINE if name in metrics]
    half = -(-len(names) // 2)
    rows = []
    for k in range(half):
        pair = names[k::half]
        cells = [text for name in pair for text in (label(name), figure(name, metrics[name]))]
        rows.append(cells + [""] * (4 - len(cells)))
    warning = f"<p><b>{escape(SYNTHETIC)}</b></p>" if config["exchange"] == "synthetic" else ""
    return f"<h4>{escape(title)}</h4>{warning}" + _table(("", "", "", ""), rows, numeric={1, 3})
