"""`executor status`: the account and its daemon at a glance."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.errors import InputError

_CLEAR = "\x1b[H\x1b[2J"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Default: executor.sqlite in the data folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again until interrupted.")] = False,
    every: Annotated[float, typer.Option("--every", help="Seconds between two looks of --watch.")] = 2.0,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 where no daemon runs, or it or a series is silent.")
    ] = False,
) -> None:
    """Say how the account stands: daemon, equity, open trades, halts, feed, what is off and what waits.

    Example: executor status --watch
    """
    from executor.api.answers import summary
    from executor.ledger import Ledger
    from executor.ledger.names import default_ledger

    if not every > 0:
        raise InputError(f"--every must be above 0 seconds, was {every:g}")
    path = ledger or default_ledger()
    while True:
        with Ledger.open(path, readonly=True) as book:
            found = summary(book)
        text = json.dumps(found) if as_json else "\n".join(_lines(found))
        typer.echo(f"{_CLEAR}{text}" if watch and not as_json else text)
        if not watch:
            break
        time.sleep(every)
    if check and found["health"] != "ok":
        raise typer.Exit(1)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    now = found["now_ms"]
    yield f"{found['mode']} account {found['account']}, {found['ledger']}"
    yield f"daemon: {_daemon(found)}"
    deployment = found["deployment"]
    if deployment is not None:
        since = _moment(deployment["effective_from_ms"])
        yield f"deployment: {deployment['id']} since {since}, {found['enabled_instances']:,} instances enabled"
    yield from _money(found)
    for one in found["halts"]:
        yield f"halted ({one['kind']}) since {_moment(one['ts_ms'])}"
    yield from _venue(found["venue"], now)
    if found["feed"]:
        yield "feed:"
    for row in found["feed"]:
        seen = "not heard of yet" if row["age_secs"] is None else f"seen {_age(row['age_secs'])} ago"
        series = f"{row['symbol']} {row['base']} on {row['exchange']}"
        yield f"  {series}: {row['state']}, {seen}, last {_moment(row['last_ts'])}"
    for row in found["disabled"]:
        yield f"off: {row['id']} ({row['note'] or 'by hand'})"
    for row in found["waiting_commands"]:
        yield f"waits: {row['verb']} {row['target']}, asked {_age((now - row['ts_ms']) / 1000)} ago"
    if found["sessions"]:
        yield f"starts ({found['session_count']:,} in all):"
    for row in found["sessions"]:
        how = row["ended_how"] or ("runs" if row["pid"] == found["daemon"] else "ended without stopping")
        yield f"  {_moment(row['started_ms'])} pid {row['pid']}: {how}"


def _venue(venue: dict[str, Any] | None, now: int) -> Iterator[str]:
    """What only a live account has."""
    if venue is None:
        return
    for one in venue["halted_symbols"]:
        yield f"{one['symbol']} takes no entries since {_moment(one['from_ms'])}: {one['reason']}"
    for one in venue["unprotected"]:
        yield f"{one['trade_id']} of {one['symbol']} has no stop at the venue for {_age(one['secs'])}: {one['why']}"
    looked = "never" if venue["reconciled_ms"] is None else f"{_age((now - venue['reconciled_ms']) / 1000)} ago"
    yield f"reconciled {looked}, longest time without a stop {_age(venue['longest_unprotected_secs'])}"


def _daemon(found: dict[str, Any]) -> str:
    if found["daemon"] is None:
        return "none runs; start one: executor run --dry"
    heard = "" if found["heard_ms"] is None else f", heard of {_age((found['now_ms'] - found['heard_ms']) / 1000)} ago"
    return f"pid {found['daemon']}{heard}, {found['health']}"


def _money(found: dict[str, Any]) -> Iterator[str]:
    mark, today = found["mark"], found["today"]
    if mark is not None and mark["equity"] is not None:
        gained = "" if today is None else f", today {today['pnl']:+,.2f}"
        if today is not None and today["share"] is not None:
            gained += f" ({100 * today['share']:+.2f} %)"
        yield f"equity: {mark['equity']:,.2f} {found['currency']} at {_moment(mark['ts_ms'])}{gained}"
    yield (
        f"{found['open_trades']:,} open trades, {found['working_orders']:,} working orders, "
        f"{found['live_signals']:,} live signals, {found['unsent_notices']:,} notices not sent"
    )


def _moment(ms: int | None) -> str:
    return "never" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _age(secs: float) -> str:
    for limit, unit, name in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if secs < limit:
            return f"{secs / unit:.0f} {name}"
    return f"{secs / 86_400:.0f} d"
