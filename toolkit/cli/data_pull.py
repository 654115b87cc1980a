"""`toolkit data pull`: bars from an exchange into the store."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.errors import VenueError

if TYPE_CHECKING:
    from toolkit.bars.pull import Progress, PullReport

SHOWN_GAPS = 5
# How often a line of progress is written where stderr is a file or a pipe.
_LINE_EVERY_SECS = 5.0


def pull(
    exchange: Annotated[str, typer.Argument(help="Exchange as ccxt names it, such as binance, gate or kucoin.")],
    symbols: Annotated[list[str], typer.Argument(help="Symbols, such as BTC/USDT, or BTC/USDT:USDT for a swap.")],
    interval: Annotated[str, typer.Option(help="Interval of the bars, one that the exchange offers.")] = "1m",
    since: Annotated[str | None, typer.Option(help="First bar, UTC; default: go on after the last stored bar.")] = None,
    until: Annotated[str | None, typer.Option(help="End, UTC, exclusive; default: the last finished bar.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Read the whole range again; where bars differ, the exchange's are kept.")
    ] = False,
    db: Annotated[
        Path | None, typer.Option("--db", help="Bars database; default: bars.duckdb in the data folder.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pull finished bars from an exchange, through ccxt, into the store.

    Only what is not stored yet is asked for, and each page is kept at once: after a stop, run the same command again.
    Network errors are tried again; bars that the exchange lacks are reported.

    Set LOCKSTEP_CCXT_OPTIONS to a JSON object to change ccxt's settings of the exchange: another host, a proxy, a rate
    limit ({"urls": ..., "httpsProxy": ..., "rateLimit": ...}).

    Example: toolkit data pull binance BTC/USDT ETH/USDT --interval 1m --since 2024-01-01
    """
    from toolkit.bars.download import Venue
    from toolkit.bars.moments import to_ms
    from toolkit.bars.pull import pull as pull_bars
    from toolkit.bars.store import Store

    since_ms = None if since is None else to_ms(since, "--since")
    until_ms = None if until is None else to_ms(until, "--until")
    meter = _Meter()
    venue = Venue(exchange, on_retry=meter.note)
    venue.check_interval(interval)
    names = list(dict.fromkeys(venue.symbol(symbol) for symbol in symbols))
    store = Store(db)
    reports: list[PullReport] = []
    try:
        for name in names:
            with meter:
                report = pull_bars(
                    venue, store, name, interval, since_ms, until_ms, replace=replace, on_progress=meter.show
                )
            reports.append(report)
            if not json_:
                print(summary(report))
    finally:
        if json_:
            print(json.dumps([as_json(report) for report in reports], indent=2))
    empty = [report.symbol for report in reports if report.first_ts is None]
    if empty:
        raise VenueError(
            f"{venue.name} gave no {interval} bar of {', '.join(empty)} in the range asked for; choose a later --since "
            f"or a longer --interval, or import files"
        )


def summary(report: "PullReport") -> str:
    """What a pull did, for a person."""
    from toolkit.bars.series import utc

    name = f"{report.exchange} {report.symbol} {report.interval}"
    done = f"{report.rows.rows_new} new bars"
    if report.rows.rows_replaced:
        done += f", {report.rows.rows_replaced} replaced"
    held = "nothing stored" if report.first_ts is None else f"stored {utc(report.first_ts)} .. {_end(report)}"
    lines = [f"{name}: {done} in {report.pages} requests, {held} UTC"]
    if report.served_from_ts is not None:
        lines.append(f"  {limit_sentence(report)}")
    elif report.first_ts is not None and report.first_ts > report.since_ms:
        lines.append(
            f"  {report.exchange} gave no bar before {utc(report.first_ts)}: not listed yet, or no longer served"
        )
    missing = sum(gap.bars for gap in report.missing)
    if missing:
        lines.append(f"  {missing} bars are missing in {len(report.missing)} gaps (filled flat when loaded):")
        longest = sorted(report.missing, key=lambda gap: (-gap.bars, gap.first_ts))[:SHOWN_GAPS]
        lines += [f"    {utc(gap.first_ts)} .. {utc(gap.last_ts)}: {gap.bars}" for gap in longest]
        if len(report.missing) > SHOWN_GAPS:
            lines.append(f"    and {len(report.missing) - SHOWN_GAPS} shorter ones; all: toolkit data check")
    if not report.volume_known:
        lines.append(f"  {report.exchange} does not say in which unit it counts this contract's volume: it is unknown")
    return "\n".join(lines)


def limit_sentence(report: "PullReport") -> str:
    """From where the venue serves bars, and how many of those asked for cannot be had."""
    from toolkit.bars.series import utc

    served = report.served_from_ts or report.since_ms
    lost = f"; {report.lost_bars} earlier bars were asked for and cannot be had there" if report.lost_bars else ""
    return (
        f"{report.exchange} serves {report.interval} bars of {report.symbol} only from {utc(served)} UTC on, and "
        f"refuses older ones{lost}: pull a longer --interval, or import files"
    )


def as_json(report: "PullReport") -> dict[str, Any]:
    """The report for a machine; times in epoch ms."""
    from dataclasses import asdict

    row = asdict(report)
    row.update(row.pop("rows"))
    row["missing_bars"] = sum(gap.bars for gap in report.missing)
    row["history_limit"] = None if report.served_from_ts is None else limit_sentence(report)
    return row


def _end(report: "PullReport") -> str:
    from toolkit.bars.series import utc

    return "" if report.last_ts is None else utc(report.last_ts)


class _Meter:
    """Progress with the time left, on stderr: one moving line on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self._moving = sys.stderr.isatty()
        self._open_line = False
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> None:
        self._began = self._last_line = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.end()

    def show(self, progress: "Progress") -> None:
        from toolkit.bars.series import utc

        now = time.monotonic()
        if not self._moving and now - self._last_line < _LINE_EVERY_SECS and progress.done_bars < progress.total_bars:
            return
        self._last_line = now
        share = progress.done_bars / max(progress.total_bars, 1)
        left = (now - self._began) * (1 - share) / share if share else 0.0
        text = f"{progress.symbol}: {share:4.0%}, at {utc(progress.at_ts)}, {_duration(left)} left"
        print(
            f"\r\x1b[K{text}" if self._moving else text, end="" if self._moving else "\n", file=sys.stderr, flush=True
        )
        self._open_line = self._moving

    def note(self, text: str) -> None:
        self.end()
        print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._open_line:
            print(file=sys.stderr)
        self._open_line = False


def _duration(secs: float) -> str:
    whole = round(secs)
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m" if whole >= 3600 else f"{whole // 60}m{whole % 60:02d}s"
