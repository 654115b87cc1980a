"""`toolkit data pull` as a process: killed and resumed, two at once while a third reads, and what it says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exchange import Fault, GateServer
from tests.exchange.worlds import START_MS, finished, without, world
from toolkit.bars.columns import COLUMNS, Columns
from toolkit.bars.store import Store

DAY, MINUTE = 86_400_000, 60_000
TIMEOUT_SECS = 120

# Reads both series until all bars are there; each read must be a series without a bar twice or out of order.
READER = """
import sys
import numpy as np
from pathlib import Path
from toolkit.bars.store import Store
store, wanted, reads = Store(Path(sys.argv[1])), int(sys.argv[2]), 0
before = {}
while True:
    found = {symbol: store.read("gate", symbol, "1m")["ts"] for symbol in ("BTC/USDT", "ETH/USDT")}
    for symbol, ts in found.items():
        assert (np.diff(ts) > 0).all(), symbol
        assert np.array_equal(ts[: len(before.get(symbol, ()))], before.get(symbol, ts[:0])), symbol
    before = found
    reads += 1
    if reads == 1:
        print("reading", flush=True)
    if sum(map(len, found.values())) == wanted:
        break
print(reads)
"""


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer(world()) as running:
        yield running


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "bars.duckdb"


def environment(server: GateServer) -> dict[str, str]:
    return {**os.environ, "LOCKSTEP_CCXT_OPTIONS": json.dumps(server.ccxt_options())}


def start(server: GateServer, db: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "from toolkit.cli.main import main; main()"]
    return subprocess.Popen(
        [*command, "data", "pull", "gate", *arguments, "--db", str(db)],
        env=environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(server: GateServer, db: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(server, db, *arguments)
    out, err = process.communicate(timeout=TIMEOUT_SECS)
    return process.returncode, out, err


def assert_all_stored(server: GateServer, db: Path, symbol: str) -> None:
    have: Columns = Store(db).read("gate", symbol, "1m")
    wanted = finished(server.market, symbol)
    for name in COLUMNS:
        np.testing.assert_array_equal(have[name], wanted[name], err_msg=f"{symbol} {name}")


def test_killed_in_the_middle_it_loses_the_page_in_flight_and_goes_on(server: GateServer, db: Path) -> None:
    server.faults.plan(Fault("hold", first=4))
    process = start(server, db, "BTC/USDT", "--since", "2023-01-01")
    server.faults.wait_for(4)
    process.kill()
    process.communicate(timeout=TIMEOUT_SECS)
    server.faults.release()
    stored = Store(db).read("gate", "BTC/USDT", "1m")["ts"]
    # Three pages of 1,000 minutes with one of overlap, less the minutes of the halt in the third.
    assert 2900 < (stored[-1] - START_MS) // MINUTE < 3000

    server.faults.plan()
    code, out, err = run(server, db, "BTC/USDT", "--since", "2023-01-01")
    assert (code, "error" in err) == (0, False)
    assert int(server.queries[-server.faults.requests]["from"]) * 1000 == stored[-1]
    assert f"{len(finished(server.market, 'BTC/USDT')['ts']) - len(stored)} new bars" in out
    assert_all_stored(server, db, "BTC/USDT")


def test_two_pull_while_a_third_reads(server: GateServer, db: Path) -> None:
    wanted = sum(len(finished(server.market, symbol)["ts"]) for symbol in ("BTC/USDT", "ETH/USDT"))
    # Both pullers are in the middle of their work when the reader has begun.
    server.faults.plan(Fault("hold", first=3, times=2))
    pulls = [start(server, db, symbol, "--since", "2023-01-01") for symbol in ("BTC/USDT", "ETH/USDT")]
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(db), str(wanted)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    server.faults.wait_for(4)
    server.faults.release()
    try:
        for process in pulls:
            out, err = process.communicate(timeout=TIMEOUT_SECS)
            assert process.returncode == 0, err
            assert "new bars" in out
        out, err = reader.communicate(timeout=TIMEOUT_SECS)
    finally:
        reader.kill()
    assert reader.returncode == 0, err
    assert int(out) > 1
    for symbol in ("BTC/USDT", "ETH/USDT"):
        assert_all_stored(server, db, symbol)


def test_json_is_alone_on_stdout_and_names_every_gap(server: GateServer, db: Path) -> None:
    without(server.market, "ETH/USDT", START_MS + 9 * MINUTE, START_MS + 11 * MINUTE)
    server.faults.plan(Fault("bad_gateway", first=1))
    code, out, err = run(server, db, "BTC/USDT", "ETH/USDT", "--since", "2023-01-01", "--until", "2023-01-02", "--json")
    assert code == 0
    assert "502 Bad Gateway" in err
    btc, eth = json.loads(out)
    assert (btc["symbol"], btc["rows_new"], btc["missing"], btc["history_limit"]) == ("BTC/USDT", 1440, [], None)
    assert eth["missing"] == [{"first_ts": START_MS + 9 * MINUTE, "last_ts": START_MS + 11 * MINUTE, "bars": 3}]
    assert (eth["missing_bars"], eth["first_ts"], eth["last_ts"]) == (3, START_MS, START_MS + DAY - MINUTE)


def test_gaps_and_the_history_limit_are_said(db: Path) -> None:
    with GateServer(world(days=5, history_bars=4_000)) as server:
        code, out, err = run(server, db, "BTC/USDT", "--since", "2022-06-01")
    assert code == 0
    assert "100%, at 2023-01-06 00:00, 0m00s left" in err
    assert "gate serves 1m bars of BTC/USDT only from 2023-01-03 05:21 UTC on, and refuses older ones" in out
    assert "bars are missing in 1 gaps" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["BTC/USDX", "--since", "2023-01-01"], "unknown symbol on gate 'BTC/USDX': did you mean 'BTC/USDT'"),
        (["BTC/USDT", "--since", "2023-01-01", "--interval", "3m"], "gate does not offer interval '3m'"),
        (["BTC/USDT", "--since", "yesterday"], "--since must be an ISO date"),
        (["BTC/USDT"], "name a --since"),
        (["BTC/USDT", "--since", "2022-01-01", "--until", "2022-01-02"], "gave no 1m bar of BTC/USDT"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    server: GateServer, db: Path, arguments: list[str], said: str
) -> None:
    code, _, err = run(server, db, *arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_a_changed_bar_names_the_remedy_and_the_remedy_works(server: GateServer, db: Path) -> None:
    until: list[Any] = ["--since", "2023-01-01"]
    assert run(server, db, "BTC/USDT", *until, "--until", "2023-01-02")[0] == 0
    server.market.minutes["BTC_USDT"]["close"][1439] = server.market.minutes["BTC_USDT"]["high"][1439] + 0.01
    server.market.minutes["BTC_USDT"]["high"][1439] += 0.01
    code, _, err = run(server, db, "BTC/USDT", *until)
    assert (code, "2023-01-01 23:59" in err, "--replace" in err) == (2, True, True)
    code, out, _ = run(server, db, "BTC/USDT", *until, "--replace")
    assert (code, "1 replaced" in out) == (0, True)
    assert_all_stored(server, db, "BTC/USDT")
