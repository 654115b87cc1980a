"""The exchange's records against the ledger, after everything has come to rest."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.soak.scene import Scene


class Found(NamedTuple):
    """lines : what to print. wrong : what must not be."""

    lines: list[str]
    wrong: list[str]


def check(scene: Scene, *, flat: bool = True) -> Found:
    """Hold them against each other. flat : whether everything was closed before."""
    record = json.loads(scene.record.read_text())
    with sqlite3.connect(f"file:{scene.ledger}?mode=ro", uri=True) as book:
        book.row_factory = sqlite3.Row
        ours = {row["client_id"]: dict(row) for row in book.execute("SELECT * FROM venue_orders")}
        trades = [dict(row) for row in book.execute("SELECT * FROM trades")]
        told = book.execute("SELECT total(abs(qty)) FROM fills").fetchone()[0]
        bare = book.execute("SELECT max(until_ms - from_ms) FROM unprotected").fetchone()[0] or 0
        counts = dict(book.execute("SELECT decision, count(*) FROM signals GROUP BY decision").fetchall())
        halts = [tuple(row) for row in book.execute("SELECT symbol, reason FROM symbol_halts")]
        notices = Counter(row[0] for row in book.execute("SELECT kind FROM notices"))
        cash = book.execute("SELECT cash FROM equity ORDER BY ts_ms DESC LIMIT 1").fetchone()
    sizes = {scene.name(symbol): scene.listing(symbol).contract_size for symbol in scene.symbols}
    wrong = compare(record, ours, sizes)
    if flat:
        wrong += _left(scene, record)
        wrong += [f"trade {one['trade_id']} is still open" for one in trades if one["status"] != "CLOSED"]
    longest = sorted(record["bare"], key=lambda one: (one["until_ms"] or record["now_ms"]) - one["from_ms"])[-3:]
    lines = [
        f"signals {counts}; {len(trades)} trades; {len(ours)} orders sent",
        f"at the exchange {len(record['orders'])} orders, {len(record['triggers'])} triggers, "
        f"{len(record['fills'])} fills, {sum(record['requests'].values())} requests",
        f"most asked: {Counter(record['requests']).most_common(6)}",
        f"faults: {dict(Counter(what.split(' ')[0] for _, what in record['struck']))}",
        f"befell: {dict(Counter(what for _, what in record['befell']))}",
        f"longest without a stop, by the ledger {bare / 1000:.1f} s; by the exchange "
        + ", ".join(
            f"{((one['until_ms'] or record['now_ms']) - one['from_ms']) / 1000:.1f} s ({one['symbol']} {one['side']})"
            for one in reversed(longest)
        ),
        f"halted symbols {halts}; notices {dict(notices)}; told {told:.6f}; cash {cash and cash[0]}; "
        f"balances {record['balances']}",
        *(f"WRONG: {one}" for one in wrong[:40]),
        f"{len(wrong)} things are wrong" if wrong else "nothing is wrong",
    ]
    return Found(lines, wrong)


def compare(record: Mapping[str, Any], ours: Mapping[str, Any], sizes: Mapping[str, float]) -> list[str]:
    """What must not be. ours : rows of `venue_orders` by client id. sizes : base units of an amount, by symbol."""
    return [*_untracked(record, ours), *_twice(record, ours), *_unequal(record, ours, sizes)]


def _untracked(record: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Orders with our prefix that the ledger does not know."""
    names = [one["client_id"] for one in record["orders"]] + [one["order"]["client_id"] for one in record["triggers"]]
    return [f"order {name} is not in the ledger" for name in names if "ls-" in name and _plain(name) not in ours]


def _twice(record: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Entries of one trade that were filled under several client ids, or a client id with several orders."""
    wrong, entries = [], Counter[str]()
    for name, n in Counter(_plain(one["client_id"]) for one in record["orders"] if "ls-" in one["client_id"]).items():
        filled = any(_plain(one["client_id"]) == name and one["filled"] for one in record["orders"])
        if n > 1:
            wrong.append(f"client id {name} has {n} orders")
        if filled and name in ours and ours[name]["kind"] == "entry":
            entries[ours[name]["trade_id"]] += 1
    return wrong + [f"trade {name} was entered {n} times" for name, n in entries.items() if n > 1]


def _unequal(record: Mapping[str, Any], ours: Mapping[str, Any], sizes: Mapping[str, float]) -> list[str]:
    """What was filled of each client id, here and there."""
    there: Counter[str] = Counter()
    fired = {one["order_id"]: one["order"]["client_id"] for one in record["triggers"] if one["order_id"]}
    for one in record["orders"]:
        name = fired.get(one["id"], one["client_id"])
        there[_plain(name)] += one["filled"] * sizes[one["symbol"]]
    return [
        f"{name} ({row['kind']} of {row['trade_id']}): {there[name]:.8f} filled, the ledger has {row['filled']:.8f}"
        for name, row in ours.items()
        if abs(there[name] - row["filled"]) > 1e-9
    ]


def _left(scene: Scene, record: Mapping[str, Any]) -> list[str]:
    """Positions, and orders of ours that still wait."""
    wrong = [f"position {one['symbol']} {one['side']}: {one['qty']}" for one in record["positions"] if one["qty"]]
    for symbol in scene.symbols if scene.market == "spot" else ():
        listing = scene.listing(symbol)
        held = record["balances"].get(listing.base, 0.0)
        if held >= max(listing.lot, listing.min_qty):
            wrong.append(f"{held} {listing.base} are left")
    open_ = [one["client_id"] for one in record["orders"] if one["status"] == "open"]
    open_ += [one["order"]["client_id"] for one in record["triggers"] if one["status"] == "open"]
    return wrong + [f"order {name} still waits" for name in open_ if "ls-" in name]


def _plain(name: str) -> str:
    """Without the prefix that Gate wants."""
    return name.removeprefix("t-")
