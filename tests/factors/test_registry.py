import numpy as np
import pytest

from tests.factors.series import PEER, market, with_peer
from toolkit.bars.intervals import DAY_MS, INTERVAL_MS, MINUTE_MS, WEEK_MS
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors import Param, compute, factor, factor_lookback, factor_names, get_factor
from toolkit.factors import registry as registry_module

PROMISED = {
    "range", "range_pct", "efficiency_ratio", "adx", "r_squared", "slope", "slope_pct", "atr", "natr",
    "realised_volatility", "parkinson_volatility", "zscore", "rsi", "roc", "volume_ratio", "sma", "std", "ewm",
    "rolling_max", "rolling_min", "bars_since_max", "bars_since_min", "donchian_high", "donchian_low", "support",
    "resistance", "opening_range_high", "opening_range_low", "day_open", "day_high", "day_low", "day_position",
    "day_range", "minutes_since_midnight", "weekday", "gap", "correlation",
}  # fmt: skip


def test_every_promised_name_is_registered_and_explained():
    assert set(factor_names()) >= PROMISED
    for name in factor_names():
        found = get_factor(name)
        assert len(found.doc) > 20
        assert found.signature.startswith(name)
        assert factor_lookback(name, MINUTE_MS) >= 1


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ((14.5,), "window of factor atr must be a whole number, was 14.5"),
        ((float("nan"),), "must be a whole number, was nan"),
        (("14",), "must be a whole number, was '14'"),
        ((True,), "must be a whole number, was True"),
        ((0,), "must be at least 1, was 0"),
        ((-3,), "must be at least 1, was -3"),
        ((14, 20), "factor atr takes (window), was given 2 values: (14, 20)"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_rule(params, said):
    bars = market(0, 50)
    with pytest.raises(InputError) as error:
        bars.factor("atr", *params)
    assert said in str(error.value)
    with pytest.raises(InputError):
        factor_lookback("atr", MINUTE_MS, *params)


def test_other_wrong_requests():
    bars = market(0, 50)
    with pytest.raises(UnknownNameError, match="did you mean 'atr' or 'natr'"):
        bars.factor("atrr", 14)
    with pytest.raises(InputError, match="at most 1440, was 2000"):
        bars.factor("opening_range_high", 2000)
    with pytest.raises(InputError, match="takes no parameters"):
        bars.factor("day_open", 3)
    with pytest.raises(InputError, match="at least 2, was 1"):
        bars.factor("slope", 1)
    with pytest.raises(InputError, match="must be a text such as 'BTC/USDT', was 7"):
        bars.factor("correlation", 10, 7)
    with pytest.raises(UnknownNameError, match="peer symbol"):
        bars.factor("correlation", 10, "ETH/USDT")
    with pytest.raises(InputError, match=r"bars of at most 1d.*7 days.*bars\.at\('1d'\)"):
        market(0, 50, "1w").factor("day_open")


def test_defaults_and_whole_floats_are_the_same_request():
    bars = market(1, 200)
    expected = bars.factor("atr", 14)
    for params in ((), (14.0,), (np.int32(14),)):
        np.testing.assert_array_equal(bars.factor("atr", *params), expected)
    assert get_factor("resistance").defaults == {"left": 5, "right": 5, "window": 240}


def test_windows_longer_than_any_history_are_nan():
    bars = with_peer(2, 30)
    for name in factor_names():
        found = get_factor(name)
        if found.day_state or found.sparse:
            continue
        params = [10**15 if isinstance(p.default, int) else PEER for p in found.params]
        values = bars.factor(name, *params)
        assert values.shape == (30,)
        assert np.isnan(values).all() or not params


def test_lookbacks_on_every_interval():
    for interval, step in INTERVAL_MS.items():
        assert factor_lookback("atr", step, 14) == 15
        assert factor_lookback("adx", step, 14) == 28
        assert factor_lookback("ewm", step, 10) == 40
        assert factor_lookback("support", step, 3, 4, 50) == 57
        if interval != "1w":
            assert factor_lookback("day_high", step) == DAY_MS // step
            assert factor_lookback("gap", step) == DAY_MS // step + 1
    with pytest.raises(InputError):
        factor_lookback("gap", WEEK_MS)


def test_an_own_factor_is_asked_for_like_any_other(monkeypatch):
    monkeypatch.setattr(registry_module, "_REGISTRY", dict(registry_module._REGISTRY))

    @factor("body", params=[Param("bars_back", 1)], lookback=lambda interval_ms, bars_back: bars_back + 1)
    def body(bars, bars_back):
        """Close minus open of an earlier bar, price units."""
        return np.roll(bars.close - bars.open, bars_back)

    bars = market(3, 20)
    values = bars.factor("body", 2)
    assert np.isnan(values[:2]).all()
    np.testing.assert_array_equal(values[2:], (bars.close - bars.open)[:-2])
    with pytest.raises(InputError, match=r"factor name 'atr' is taken by toolkit\.factors\.library_volatility"):
        factor("atr", lookback=lambda interval_ms: 1)(body)


def test_values_are_frozen_and_made_once():
    bars = market(4, 60)
    values = bars.factor("sma", 5)
    assert bars.factor("sma", 5) is values
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1.0
    assert compute("sma", bars, (5,)) is not values


def test_an_undefined_value_is_nan_and_a_flat_market_is_no_error():
    still = market(5, 400, tick=1e-300)
    assert np.ptp(still.close) == 0.0
    for name in ("zscore", "efficiency_ratio", "rsi", "r_squared", "day_position"):
        assert np.isnan(still.factor(name)).all(), name
    for name in ("atr", "std", "adx", "realised_volatility", "slope"):
        assert (still.factor(name)[40:] == 0.0).all(), name
