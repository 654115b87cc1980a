"""kill -9 at every boundary between two durable steps: after a restart the ledger is that of an undisturbed run."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from executor.broker.base import Intent, Report
from executor.broker.paper import PaperBroker
from executor.engine.engine import Engine
from executor.feed.base import BarEvent
from executor.ledger import Ledger
from tests.executor.engine.account_replay import CaseModel, events_of, open_ledger, plan_of, playable
from tests.portfolio.account_cases import AccountCase

EVENTS = 40
WANTED = {f"{when} {what}" for when in ("before", "after") for what in ("event", "submit", "cancel", "sent")}
TABLES = (
    "meta", "instances", "weights", "bars", "events", "legs", "account", "signals", "audit", "orders", "fills",
    "trades", "days", "equity", "halts", "commands", "cash_flows", "notices",
)  # fmt: skip
# How often an engine was made is not what it did.
UNCOUNTED = ("updated_seq",)


class WatchedBroker(PaperBroker):
    """A paper broker that tells before and after each thing it is asked."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def send(self, intent: Intent) -> Sequence[Report]:
        self._tell(f"before {intent.verb.value} {intent.order.order_id}")
        reports = super().send(intent)
        self._tell(f"after {intent.verb.value} {intent.order.order_id}")
        return reports


def trade(case: AccountCase, events: list[BarEvent], path: Path, tell: Callable[[str], None]) -> None:
    """Go on with a ledger wherever it stands, to the end of the events."""
    ledger = Ledger.open(path, synchronous="OFF", check=False)
    ledger.on_commit = tell
    plan = plan_of(case)
    engine = Engine(
        ledger, WatchedBroker(tell), load=lambda _, __: plan, model=CaseModel(case), clock=lambda: 0
    )  # fmt: skip
    for event in events:
        engine.on_event(event)
    ledger.close()


def killed_at(number: int, case: AccountCase, events: list[BarEvent], path: Path) -> bool:
    """In a process of its own: run until boundary `number` and be killed there; False where it does not exist."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def tell(_: str) -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

        trade(case, events, path, tell)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def contents(path: Path) -> dict[str, list[Any]]:
    """Every row of every table, NaN-safe, in the order of their columns."""
    with Ledger.open(path, readonly=True) as ledger:
        found = {}
        for table in TABLES:
            rows = [
                {name: row[name] for name in row.keys() if name not in UNCOUNTED}  # noqa: SIM118
                for row in ledger.rows(f"SELECT * FROM {table}")
            ]
            found[table] = sorted(repr(sorted(row.items())) for row in rows)
        return found


def eventful(folder: Path) -> tuple[AccountCase, list[BarEvent], list[str], Path]:
    """A case whose first events open, trail and close trades; its boundaries, and the ledger of an undisturbed run."""
    for seed in range(8_000_000, 8_000_400):
        case = playable(seed)
        events = events_of(case)[:EVENTS]
        calm, seen = folder / f"calm{seed}.sqlite", list[str]()
        open_ledger(case, calm).close()
        trade(case, events, calm, seen.append)
        kinds = {kind(text) for text in seen}
        if kinds >= WANTED and len(contents(calm)["fills"]) >= 4:
            return case, events, seen, calm
    raise AssertionError("no eventful case")


def kind(text: str) -> str:
    return " ".join(text.split()[:2])


@pytest.mark.xdist_group("engine")
def test_killed_anywhere_it_goes_on_as_if_undisturbed(tmp_path: Path) -> None:
    case, events, seen, calm = eventful(tmp_path)
    wanted = contents(calm)
    killed = 0
    for number in range(1, len(seen) + 1):
        path = tmp_path / f"{number}.sqlite"
        open_ledger(case, path).close()
        assert killed_at(number, case, events, path), number
        killed += 1
        assert not killed_at(0, case, events, path)
        assert contents(path) == wanted, seen[number - 1]
        print(f"{number:4d}  killed {seen[number - 1]}: restarted, the same ledger")
    assert killed == len(seen)
    print(f"{killed} of {len(seen)} boundaries killed")
    beyond = tmp_path / "beyond.sqlite"
    open_ledger(case, beyond).close()
    assert not killed_at(len(seen) + 1, case, events, beyond)
