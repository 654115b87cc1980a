"""`executor sandbox` as a process: ccxt and the executor's own gateway trade there, and it ends when it is told to."""

import asyncio
import json
import math
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import ccxt.async_support as ccxt
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from executor.broker.base import Kind
from executor.broker.exchange import ExchangeGateway
from executor.broker.venue import Seen, Ticket, Type
from executor.cli.main import app
from executor.config import load_config
from executor.keys import read_keys
from executor.sandbox.running import Pace, keep_going, open_local
from executor.sandbox.street import from_file, synthetic
from toolkit.errors import LockstepError

MINUTE_MS = 60_000
START_MS = 1_672_531_200_000


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Forty minutes around 20,000, whose second half begins at 20,020."""
    path = tmp_path / "bars.parquet"
    close = 20_001.0 + np.arange(40)
    columns = {"open": close - 1, "high": close + 2, "low": close - 3, "close": close, "volume": np.full(40, 8.0)}
    pl.DataFrame({"ts": START_MS + MINUTE_MS * np.arange(40), **columns}).write_parquet(path)
    return path


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the first line that it said."""
    command = [sys.executable, "-m", "executor", "sandbox", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize(("exchange", "market"), [("gate", "spot"), ("gate", "swap"), ("kucoin", "spot")])
def test_ccxt_trades_on_it_until_it_is_told_to_end(bars: Path, exchange: str, market: str) -> None:
    async def trade(told: dict[str, Any]) -> None:
        (symbol,) = told["symbols"]
        settings = {"apiKey": told["key"], "secret": told["secret"], "password": told.get("password", "")}
        client = getattr(ccxt, exchange)({**told["exchange_options"], **settings})
        try:
            rows = await client.fetch_ohlcv(symbol, "1m", limit=10)
            # A minute may have begun since it started.
            assert {row[0] % MINUTE_MS for row in rows} == {0} and rows[-2][4] in (20_020.0, 20_021.0)
            balance = await client.fetch_balance({"type": market})
            assert balance["USDT"]["total"] == 5_000.0
            await client.create_order(symbol, "limit", "buy", 1.0 if market == "swap" else 0.01, 10_000.0)
            assert len(await client.fetch_open_orders(symbol)) == 1
            async with aiohttp.ClientSession() as session:
                control = f"{told['url']}/control"
                async with session.post(control, json={"fault": {"kind": "bad_gateway", "times": 1}}) as answer:
                    assert answer.status == 200
                with pytest.raises(ccxt.ExchangeNotAvailable):
                    await client.fetch_open_orders(symbol)
                async with session.get(f"{control}/log") as answer:
                    assert any(entry["verb"] == "place" for entry in await answer.json())
        finally:
            await client.close()

    words = (exchange, "--market", market, "--bars", f"BTC/USDT={bars}", "--balance", "5000", "--json")
    with running(*words) as (process, line):
        told = json.loads(line)
        assert told["venue"] == exchange and str(bars) in told["sources"][0]
        asyncio.run(trade(told))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0
        assert str(bars) in said and "it stands still after" in said


def test_its_executor_toml_and_keys_are_all_that_a_gateway_needs(tmp_path: Path, bars: Path) -> None:
    async def trade(config: Path) -> None:
        settings = load_config(config, mode="live", ledger=tmp_path / "no.sqlite")
        symbol = settings.venue_symbol("BTC/USDT")
        assert (settings.venue, symbol) == ("gate", "BTC/USDT:USDT")
        gateway = ExchangeGateway(settings.venue, read_keys(settings.live.keys_file), options=settings.exchange_options)
        await gateway.open([symbol])
        try:
            ticket = Ticket(
                "ls-1", "o", "t", Kind.ENTRY, symbol, "buy", "long", Type.MARKET, 0.01, math.nan, math.nan, False, 0
            )
            await gateway.submit(ticket)
            found = await gateway.find(ticket, "")
            assert (found.seen, found.filled) == (Seen.FILLED, 0.01)
        finally:
            await gateway.close()

    keys, config = tmp_path / "keys.toml", tmp_path / "executor.toml"
    words = ["gate", "--market", "swap", "--bars", f"BTC/USDT={bars}", "--keys-file", str(keys)]
    with config.open("w") as out:
        command = [sys.executable, "-m", "executor", "sandbox", *words]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stderr is not None
            said = [process.stderr.readline() for _ in range(4)]
            assert "http://127.0.0.1:" in said[1] and "LOCKSTEP_KEY" in said[2]
            assert stat.S_IMODE(keys.stat().st_mode) == 0o600
            asyncio.run(trade(config))
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["bybit"], "local exchange"),
        (["kucoin", "--market", "swap"], "no swap markets"),
        (["--bars", "nowhere.parquet"], "nowhere.parquet"),
        (["--bars", "a.csv", "--synthetic", "1"], "leave one of them out"),
        (["--symbols", "BTC/EUR"], "BTC/EUR"),
        (["--symbols", ","], "at least one symbol"),
        (["--synthetic", "-1"], "seed must not be negative"),
        (["--speed", "0"], "speed must be a number above 0"),
        (["--balance", "nan"], "balance must be a number above 0"),
        (["--port", "70000"], "port must be between"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(words: list[str], text: str) -> None:
    answer = CliRunner().invoke(app, ["sandbox", *words])
    assert isinstance(answer.exception, LockstepError) and text in str(answer.exception)
    assert answer.stdout == "" and "\n" not in str(answer.exception)


def test_a_port_that_is_taken_and_a_file_that_is_no_keys_of_it(tmp_path: Path, bars: Path) -> None:
    async def taken() -> int:
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
            port = int(server.sockets[0].getsockname()[1])
            command = [sys.executable, "-m", "executor", "sandbox", "--bars", f"BTC/USDT={bars}", "--port", str(port)]
            process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
            _, said = await process.communicate()
            assert b"name another --port" in said
            return int(process.returncode or 0)

    assert asyncio.run(taken()) == 2
    mine = tmp_path / "mine.toml"
    mine.write_text('key = "of money"\n')
    command = [sys.executable, "-m", "executor", "sandbox", "--bars", f"BTC/USDT={bars}", "--keys-file", str(mine)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "name another" in done.stderr
    assert mine.read_text() == 'key = "of money"\n'


def play(story: Callable[[Any], Awaitable[None]], streets: list[Any], speed: float = 1.0) -> None:
    """The story beside a local exchange in this process, which then is told to end."""

    async def both() -> None:
        local = open_local("gate", "spot", streets, balance=100.0, speed=speed, port=0)
        answers = asyncio.Event()
        going = asyncio.create_task(keep_going(local, answers.set))
        await answers.wait()
        await story(local)
        os.kill(os.getpid(), signal.SIGTERM)
        await going

    asyncio.run(both())


def test_bars_are_the_past_and_what_is_to_come(bars: Path) -> None:
    street = from_file(f"BTC/USDT={bars}")
    assert (street.symbol, street.step_ms, street.past) == ("BTC/USDT", MINUTE_MS, 20)

    async def story(local: Any) -> None:
        now = local.clock()
        candles = local.venue.candles("BTC/USDT", "1m", now - 60 * MINUTE_MS, now)
        assert [one.close for one in candles[:20]] == list(20_001.0 + np.arange(20))
        assert candles[20].open == 20_020.0
        assert local.ends_ms["BTC/USDT"] == candles[20].ts_ms + 20 * MINUTE_MS
        local.clock.move(20 * MINUTE_MS)
        await local.venue.advance(local.clock())
        assert local.venue.last_price("BTC/USDT") == 20_040.0

    play(story, [street])


def test_a_market_may_go_faster() -> None:
    secs = 0.0
    pace = Pace(1_000, 60.0, lambda: secs)
    secs = 2.0
    assert pace() == 121_000
    pace.move(500)
    assert pace() == 121_500


def test_synthetic_bars_say_so_and_are_the_same_for_a_seed() -> None:
    one, two = (synthetic(["BTC/USDT", "ETH/USDT"], 3) for _ in range(2))
    assert [street.symbol for street in one] == ["BTC/USDT", "ETH/USDT"]
    assert all("made up" in street.source and "seed 3" in street.source for street in one)
    for left, right in zip(one, two, strict=True):
        assert np.array_equal(left.columns["close"], right.columns["close"])
    assert not np.array_equal(one[0].columns["close"], synthetic(["BTC/USDT"], 4)[0].columns["close"])
