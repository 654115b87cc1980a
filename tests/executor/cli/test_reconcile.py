"""`executor reconcile`: a plan without a daemon, its application, and a running daemon's last look."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from executor.broker.base import Kind
from executor.broker.kept import Kept
from executor.broker.reconcile import Placed
from executor.broker.reconciling import Reconciler
from executor.broker.venue import Capabilities, Seen, Ticket, UnreachableVenueError
from executor.cli.main import app
from executor.ledger import Ledger
from executor.ledger.lock import one_daemon
from tests.executor.broker.by_hand import HandVenue
from tests.executor.broker.fake_venue import SPOT, Record
from tests.executor.broker.sides import BTC, OLD, entered, placed, ticket
from toolkit.errors import InputError, LedgerError, VenueError

STOP = ticket("a", Kind.STOP)


class Shelf(HandVenue):
    """The venue of one command: it outlives the loops of several."""

    def __init__(self, markets: dict[str, Capabilities]) -> None:
        super().__init__(asyncio.new_event_loop(), markets, latency_secs=0.0)
        self.is_down, self.opened, self.closed = False, list[str](), 0

    def now_ms(self) -> int:
        return OLD

    async def open(self, symbols: Any) -> None:
        if self.is_down:
            raise UnreachableVenueError("shelf did not answer")
        self.opened += symbols

    async def cancel(self, ticket: Ticket, venue_id: str) -> None:
        self._cancel(ticket.client_id)

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A live account with one open trade, of 1 BTC, with a stop at the venue."""
    path = tmp_path / "live.sqlite"
    with Ledger.open(path, create=True) as book:
        for key, value in (("mode", "live"), ("currency", "USDT"), ("account", "test")):
            book.set_meta(key, value)
        rows = (entered("a"), placed(STOP))
        Kept(book).put([one.sent() for one in rows])
        book.put("orders", [_order(one) for one in rows])
        book.insert("trades", {
            "trade_id": "a", "leg": "a", "instance": "a", "strategy": "s", "symbol": BTC, "side": "long",
            "status": "ACTIVE", "signal_ms": 0, "entry_ms": 0, "qty": 1.0, "seq": 0,
        })  # fmt: skip
        book.insert("cash_flows", {"ts_ms": 0, "kind": "allocated", "amount": 1e9, "note": ""})
    return path


@pytest.fixture
def venue(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """It has the trade's coin and its stop."""
    found = Shelf({BTC: SPOT})
    found.coins["BTC"] = 1.0
    found.records.append(Record(f"v-{STOP.client_id}", STOP, Seen.OPEN, OLD, OLD))
    monkeypatch.setattr("executor.going_live.make_gateway", lambda config, ledger: found)
    yield found
    found.loop.close()


def _order(one: Placed) -> dict[str, object]:
    final = one.seen.is_final
    return {
        "order_id": one.ticket.order_id, "trade_id": one.ticket.trade_id, "instance": "a", "symbol": BTC,
        "kind": one.ticket.kind.value, "side": one.ticket.side, "type": "market", "qty": 1.0, "price": 95.0,
        "status": "CLOSED" if final else "OPEN", "created_ms": OLD, "seq": 0,
    }  # fmt: skip


def reconcile(path: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["reconcile", "--ledger", str(path), *words])


def test_what_agrees_needs_nothing(path: Path, venue: Shelf) -> None:
    done = reconcile(path)
    assert (done.exit_code, done.stdout) == (0, "nothing differs\n")
    assert venue.opened == [BTC] and venue.closed == 1
    found = json.loads(reconcile(path, "--json").stdout)
    assert (found["actions"], found["daemon"], found["halted"]) == ([], None, [])


def test_a_plan_changes_nothing_and_apply_does_it(path: Path, venue: Shelf) -> None:
    lost = ticket("lost", Kind.STOP)
    venue.records.append(Record("v9", lost, Seen.OPEN, OLD, OLD))
    venue.place(BTC, "buy", 1.0, 50.0)
    done = reconcile(path)
    assert done.exit_code == 1
    first, second, third = done.stdout.splitlines()
    assert first.split()[:4] == ["to", "do", "cancel", BTC] and "ls-lost-stop" in first
    assert second.split()[:4] == ["report", "foreign", "order", BTC] and "order x0" in second
    assert third == "to do it: executor reconcile --apply"
    assert venue.records[-1].seen is Seen.OPEN
    with Ledger.open(path) as book:
        assert book.value("SELECT count(*) FROM reconciliations") == 0
    done = reconcile(path, "--apply", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [(one["action"], one["done"]) for one in found["actions"]] == [("cancel", True), ("foreign order", False)]
    assert venue.records[-1].seen is Seen.CANCELLED and venue.others
    with Ledger.open(path) as book:
        assert [tuple(row) for row in book.rows("SELECT cause, action, done FROM reconciliations ORDER BY id")] == [
            ("by hand", "cancel", 1), ("by hand", "foreign order", 0),
        ]  # fmt: skip
    assert reconcile(path).exit_code == 0


def test_what_cannot_be_settled_halts_the_symbol(
    path: Path, venue: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("executor.broker.reconciling.Reconciler", partial(Reconciler, again_secs=0.0))
    venue.coins["BTC"] = 0.0
    done = reconcile(path, "--apply")
    assert done.exit_code == 1
    assert "done    halt" in done.stdout and f"when it is settled: executor resume {BTC}" in done.stdout
    with Ledger.open(path) as book:
        assert book.value("SELECT symbol FROM symbol_halts WHERE until_ms IS NULL") == BTC
    assert "unsettled" in reconcile(path).stdout


def test_a_running_daemon_does_it_itself(path: Path, venue: Shelf) -> None:
    with one_daemon(path):
        done = reconcile(path)
        assert done.exit_code == 0 and "reconciles by itself; it has not looked yet" in done.stdout
        with Ledger.open(path) as book:
            book.insert("reconciliations", {
                "ts_ms": OLD, "cause": "start", "secs": 0.25, "symbol": BTC, "action": "foreign order",
                "text": "order 7 is not ours", "done": 0,
            })  # fmt: skip
        done = reconcile(path)
        assert "it looked last at 2023-11-14 22:14:00 UTC (start, 0.25 s):" in done.stdout
        assert "order 7 is not ours" in done.stdout and not venue.opened
        found = json.loads(reconcile(path, "--json").stdout)
        assert found["daemon"] and found["actions"][0]["action"] == "foreign order"
        refused = reconcile(path, "--apply").exception
        assert isinstance(refused, InputError) and "stop that one first" in str(refused)


def test_what_it_cannot_do_is_said_in_a_sentence(path: Path, venue: Shelf, tmp_path: Path) -> None:
    venue.is_down = True
    assert isinstance(reconcile(path).exception, VenueError) and venue.closed == 1
    assert isinstance(reconcile(tmp_path / "none.sqlite").exception, LedgerError)
    with Ledger.open(path) as book:
        book.set_meta("mode", "dry")
    refused = reconcile(path).exception
    assert isinstance(refused, InputError) and "dry account" in str(refused)
