"""The limits' config: what it refuses, and how it is read."""

from pathlib import Path

import pytest

from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.limits import (
    Instrument,
    Limits,
    instruments_from,
    instruments_over,
    limits_from,
    limits_over,
    read_limits,
)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"sizing": "kelly"}, "sizing"),
        ({"exposure": 0}, "`exposure` must be above 0, was 0"),
        ({"max_trade": float("nan")}, "`max_trade` must be a finite number"),
        ({"max_open": 0}, "`max_open` must be a whole number of at least 1, was 0"),
        ({"max_open": 2.5}, "`max_open` must be a whole number"),
        ({"price_buffer": 1}, "`price_buffer` must be a fraction from 0 to below 1"),
        ({"leverage": 2}, "liquidation is not modelled"),
        ({"risk_per_trade": 1}, "`risk_per_trade` is a fraction of equity below 1"),
        ({"daily_loss_halt": 5}, "`daily_loss_halt` must be a fraction between 0 and 1"),
        ({"halt_closes": "yes", "drawdown_halt": 0.1}, "`halt_closes` must be true or false"),
        ({"halt_closes": True}, "`halt_closes` needs a halt"),
        ({"max_trade": 0.5, "max_symbol": 0.2}, "`max_trade` 0.5 contradicts `max_symbol` 0.2"),
        ({"max_symbol": 0.9, "max_gross": 0.5}, "`max_symbol` 0.9 contradicts `max_gross` 0.5"),
        ({"max_net": 0.9, "max_gross": 0.5}, "`max_net` 0.9 contradicts `max_gross` 0.5"),
        ({"max_gross": 1.5}, "`max_gross` 1.5 contradicts `leverage` 1.0"),
        ({"max_open": 3, "max_open_symbol": 5}, "`max_open_symbol` 5 contradicts `max_open` 3"),
        (
            {"sizing": "notional", "notional_per_trade": 500, "max_trade_notional": 100},
            "`notional_per_trade` 500 contradicts `max_trade_notional` 100",
        ),
    ],
)
def test_a_value_that_breaks_a_rule_or_contradicts_another_is_refused(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        limits_from(table)


def test_an_unknown_limit_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="max_gross"):
        limits_from({"max_gros": 0.5})
    with pytest.raises(UnknownNameError, match="lot_step"):
        instruments_from({"BTC/USDT": {"lot_steps": 0.1}})


def test_none_is_written_as_a_word_in_toml() -> None:
    assert limits_from({"max_open": "none", "max_gross": 0.8}) == Limits(max_gross=0.8)


def test_a_file_holds_limits_and_instruments(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text('[limits]\nmax_open = 4\n[instruments."BTCUSDT"]\nlot_step = 0.001\nmarket = "spot"\n')
    limits, instruments = read_limits(file)
    assert limits_over(None, limits) == Limits(max_open=4)
    assert limits_over(Limits(max_gross=0.5, max_open=9), limits) == Limits(max_gross=0.5, max_open=4)
    assert instruments_over({}, instruments) == {"BTC/USDT": Instrument(lot_step=0.001, market="spot")}
    known = {"BTC/USDT": Instrument(min_qty=1.0, market="swap"), "ETH/USDT": Instrument(tick=0.1)}
    assert instruments_over(known, instruments) == {
        "BTC/USDT": Instrument(lot_step=0.001, min_qty=1.0, market="spot"), "ETH/USDT": Instrument(tick=0.1),
    }  # fmt: skip
    file.write_text("max_open = 4\n")
    assert read_limits(file) == ({"max_open": 4}, {})
    file.write_text("max_open = 0\n")
    with pytest.raises(InputError, match="`max_open` must be a whole number"):
        read_limits(file)
    file.write_text("max_open = \n")
    with pytest.raises(InputError, match="not valid TOML"):
        read_limits(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_limits(tmp_path / "nothing.toml")


def test_an_instrument_has_no_negative_rule_and_a_known_market() -> None:
    with pytest.raises(InputError, match="`lot_step` must not be negative"):
        Instrument(lot_step=-1)
    with pytest.raises(UnknownNameError, match="spot"):
        Instrument(market="future")
