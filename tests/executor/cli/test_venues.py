import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from executor.broker.exchange.known import TABLE
from executor.cli.main import app
from tests.exchange.market import Market
from tests.exchange.server import GateServer
from tests.executor.daemon.venue import minutes
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.limits import instruments_from

runner = CliRunner()


def test_the_table_names_every_market():
    answer = runner.invoke(app, ["venues", "--json"])
    rows = json.loads(answer.stdout)
    assert [(row["venue"], row["market"]) for row in rows] == list(TABLE)
    assert all(row["sources"] and row["ways"] for row in rows)
    gate = rows[0]
    assert (gate["stop"], gate["stop_is_limit"], gate["trigger_life_secs"]) == ("venue", True, 86_400.0)


def test_one_venue_is_told_in_detail():
    text = runner.invoke(app, ["venues", "kucoin"]).stdout
    assert "clientOid" in text and "https://www.kucoin.com" in text and "gate" not in text


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (["kukoin"], UnknownNameError, "did you mean 'kucoin'"),
        (["gate", "--market", "future"], UnknownNameError, "spot"),
        (["--symbols", "BTC/USDT"], InputError, "name it"),
        (["gate", "--toml"], InputError, "--symbols"),
        (["gate", "--symbols", "BTCUSDT"], InputError, "BASE/QUOTE"),
        (["kucoin", "--symbols", "BTC/USDT:USDT"], InputError, "only spot"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(words, error, text):
    answer = runner.invoke(app, ["venues", *words])
    assert isinstance(answer.exception, error) and text in str(answer.exception)


def test_live_rules_become_a_deployments_table(tmp_path: Path):
    with GateServer(Market({"BTC_USDT": minutes(0, 1, 7)}, 0)) as server:
        config = tmp_path / "executor.toml"
        options = server.ccxt_options()
        public = "\n".join(f'{name} = "{url}"' for name, url in options["urls"]["api"]["public"].items())
        config.write_text(f"[exchange_options.urls.api.public]\n{public}\n")
        words = ["venues", "gate", "--symbols", "BTC/USDT", "--config", str(config)]
        table = runner.invoke(app, [*words, "--toml"], catch_exceptions=False).stdout
        told = json.loads(runner.invoke(app, [*words, "--json"], catch_exceptions=False).stdout)
    rules = instruments_from(tomllib.loads(table)["instruments"])["BTC/USDT"]
    assert rules.market == "spot" and not rules.hedge_mode
    assert (rules.lot_step, rules.tick) == (told["BTC/USDT"]["lot_step"], told["BTC/USDT"]["tick"])
    assert rules.lot_step > 0 and rules.tick > 0 and told["BTC/USDT"]["is_trading"] is True
