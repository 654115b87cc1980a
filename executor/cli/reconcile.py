"""`executor reconcile`: the ledger against the venue, while no daemon does that itself."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.errors import InputError

if TYPE_CHECKING:
    from executor.broker.reconcile import Action
    from executor.config import ExecutorConfig
    from executor.ledger import Ledger


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(reconcile)


def reconcile(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without, it is only shown.")] = False,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Default: executor.sqlite in the data folder.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Default: executor.toml of the project.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare orders, positions and balances of the venue with the ledger: what differs, and what follows.

    Orders and positions that are not ours are left alone. A running daemon reconciles by itself, at its start, after
    each reconnect and every `reconcile_secs`; then its last look is shown. Exit code 1 where something is left to be
    done or settled.

    Example: executor reconcile --apply
    """
    from executor.config import load_config
    from executor.ledger import Ledger
    from executor.ledger.lock import holder, one_daemon

    settings = load_config(config, ledger=ledger, mode="live")
    path = settings.ledger
    with Ledger.open(path, readonly=True) as book:
        _check_live(book)
        pid = holder(path)
        if pid is not None and apply:
            raise InputError(f"the daemon (pid {pid}) reconciles this ledger itself; stop that one first")
        if pid is not None:
            return _show(_looked(book, pid), as_json)
        if not apply:
            return _show(_asked(settings, book, apply=False), as_json)
    with one_daemon(path), Ledger.open(path) as book:
        _show(_asked(settings, book, apply=True), as_json)


def _check_live(book: "Ledger") -> None:
    mode = book.meta("mode")
    if mode != "live":
        raise InputError(f"{book.path} is of a {mode} account, whose orders no venue has; name a live one by --ledger")


def _looked(book: "Ledger", pid: int) -> dict[str, Any]:
    """What the running daemon found last."""
    from executor.broker.reconciling import last_look

    rows = last_look(book)
    found = [
        {"action": row["action"], "symbol": row["symbol"], "text": row["text"], "done": bool(row["done"])}
        for row in rows
        if row["action"]
    ]
    first: Mapping[str, Any] = dict(rows[0]) if rows else {"ts_ms": None, "cause": None, "secs": None}
    return {
        "daemon": pid, "ts_ms": first["ts_ms"], "cause": first["cause"], "secs": first["secs"],
        "halted": _halted(book), "actions": found,
    }  # fmt: skip


def _asked(settings: "ExecutorConfig", book: "Ledger", *, apply: bool) -> dict[str, Any]:
    """Connect, compare, and do what follows where that is wanted."""
    import asyncio

    from executor.broker.gathering import traded_symbols
    from executor.broker.live import LiveBroker, wall_ms
    from executor.broker.reconcile import Tolerance
    from executor.broker.reconciling import Reconciler
    from executor.broker.venue import UnreachableVenueError
    from executor.going_live import make_gateway
    from toolkit.errors import VenueError

    broker = LiveBroker(book, make_gateway(settings, book))
    reconciler = Reconciler(book, broker, Tolerance(balance_share=settings.live.balance_tolerance))

    async def work() -> "tuple[list[Action], set[int]]":
        began = time.monotonic()
        try:
            await broker.open(traded_symbols(book))
            plan = await reconciler.plan()
            done = await reconciler.apply(plan, "by hand", time.monotonic() - began) if apply else set[int]()
        except UnreachableVenueError as error:
            raise VenueError(str(error)) from error
        finally:
            await broker.close()
        return plan, done

    now, began = wall_ms(), time.monotonic()
    plan, done = asyncio.run(work())
    return {
        "daemon": None, "ts_ms": now, "cause": "by hand", "secs": time.monotonic() - began, "halted": _halted(book),
        "actions": [
            {"action": one.what.value, "symbol": one.symbol, "text": one.text, "done": k in done}
            for k, one in enumerate(plan)
        ],
    }  # fmt: skip


def _halted(book: "Ledger") -> list[str]:
    return [
        row["symbol"] for row in book.rows("SELECT symbol FROM symbol_halts WHERE until_ms IS NULL ORDER BY symbol")
    ]


def _show(found: Mapping[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))
    if found["halted"] or any(_is_left(one) for one in found["actions"]):
        raise typer.Exit(1)


def _is_left(one: Mapping[str, Any]) -> bool:
    from executor.broker.reconcile import What

    return What(one["action"]).acts and not one["done"]


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    if found["daemon"] is not None:
        yield f"a daemon runs (pid {found['daemon']}) and reconciles by itself; {_last(found)}"
    actions: Iterable[Mapping[str, Any]] = found["actions"]
    for one in actions:
        mark = "done" if one["done"] else "to do" if _is_left(one) else "report"
        yield f"{mark:6}  {one['action']:16}  {one['symbol'] or 'account':14}  {one['text']}"
    if not found["actions"] and found["ts_ms"] is not None:
        yield "nothing differs"
    if any(_is_left(one) for one in actions) and found["daemon"] is None:
        yield "to do it: executor reconcile --apply"
    for symbol in found["halted"]:
        yield f"{symbol} is halted: nothing new is entered; when it is settled: executor resume {symbol}"


def _last(found: Mapping[str, Any]) -> str:
    if found["ts_ms"] is None:
        return "it has not looked yet"
    moment = datetime.fromtimestamp(found["ts_ms"] / 1000, UTC)
    return f"it looked last at {moment:%Y-%m-%d %H:%M:%S} UTC ({found['cause']}, {found['secs']:.2f} s):"
