"""The page itself: sections in their order, their data as one JSON, script and style inside the file."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from toolkit.analysis.portfolio_report.blocks import Block, Chart, Note, Pair, Section
from toolkit.analysis.portfolio_report.compliance import compliance, configuration
from toolkit.analysis.portfolio_report.conditions import conditions
from toolkit.analysis.portfolio_report.costs import costs
from toolkit.analysis.portfolio_report.equity import day_labels, equity, exposure
from toolkit.analysis.portfolio_report.members import correlations, strategies
from toolkit.analysis.portfolio_report.models import models
from toolkit.analysis.portfolio_report.overview import banners, overview
from toolkit.analysis.portfolio_report.periods import distribution, periods
from toolkit.analysis.portfolio_report.source import Source, read_source
from toolkit.analysis.portfolio_report.trades import excursions, trade_details, trade_list
from toolkit.analysis.runs import durable
from toolkit.errors import RunError

_SECTIONS = (
    overview, equity, periods, distribution, exposure, strategies, models, correlations, excursions, conditions, costs,
    compliance, trade_list, configuration,
)  # fmt: skip
_DIGITS = 10


def write_portfolio_report(folder: Path) -> Path:
    """Write `report.html` into a portfolio run's folder, finished or still being written, from what is in it.

    Raises
    ------
    RunError : the folder cannot be read or written.
    """
    return write_page(folder / "report.html", render(read_source(folder)))


def render_portfolio(folder: Path) -> str:
    """The page of a portfolio run's folder."""
    return render(read_source(folder))


def write_page(path: Path, page: str) -> Path:
    """Write a page whole or not at all; `RunError` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable(path) as file:
            file.write(page.encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; make room, or choose another file") from error
    return path


def render(source: Source) -> str:
    """The page's HTML."""
    return draw(
        [section for make in _SECTIONS if (section := make(source)) is not None],
        title=source.title,
        subtitle=_subtitle(source),
        banners=list(banners(source)),
        data={"days": day_labels(source), "trades": trade_details(source)},
    )


def draw(
    sections: Sequence[Section],
    *,
    title: str,
    subtitle: str = "",
    banners: Sequence[Note] = (),
    data: Mapping[str, Any] | None = None,
) -> str:
    """Sections as one page that needs no network.

    data : what charts share beside their own: `days`, the x axis of those that say `{"ref": "days"}`, and `trades`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    charts = {chart.id: chart.data for section in sections for chart in _charts(section.blocks)}
    environment = Environment(
        loader=PackageLoader("toolkit.analysis.portfolio_report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        banners=banners,
        sections=sections,
        data=script_json({"days": [], "trades": {}, **(data or {}), "charts": charts}),
        style=_text("page.css"),
        script=_text("page.js"),
        plotly=get_plotlyjs().replace("</script", "<\\/script"),
    )


def _subtitle(source: Source) -> str:
    period = source.results.get("period") or {}
    span = " to ".join(str(period[k])[:10] for k in ("start", "end") if period.get(k))
    instances, kinds = len(source.results.get("instances", [])), len(source.results.get("strategies", []))
    parts = [span, f"capital {source.capital:,.0f}", f"{instances:,} instances of {kinds:,} strategies"]
    return " · ".join(p for p in parts if p)


def _charts(blocks: Sequence[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Pair):
            yield from _charts([block.left, block.right])
        elif isinstance(block, Chart):
            yield block


def script_json(value: Any) -> str:
    """JSON that can stand inside a `<script>`: no `<`, no line separators of JavaScript, null for NaN."""
    text = json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value


def _text(name: str) -> str:
    return (files("toolkit.analysis.portfolio_report") / name).read_text(encoding="utf-8")
