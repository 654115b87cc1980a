import numpy as np
import pytest

from tests.factors.series import PEER, market, with_peer
from toolkit.bars.intervals import INTERVAL_MS, interval_ms
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors.table import FactorSpec, default_specs, factor_table, parse_spec, parse_specs


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("atr(14)", FactorSpec("atr", (14,))),
        ("  atr ( 14 ) ", FactorSpec("atr", (14,))),
        ("atr", FactorSpec("atr", (14,))),
        ("atr()", FactorSpec("atr", (14,))),
        ("day_position", FactorSpec("day_position")),
        ("1d:range(10)", FactorSpec("range", (10,), "1d")),
        ("1w : roc(2.0)", FactorSpec("roc", (2,), "1w")),
        ("support(2, 3, 50)", FactorSpec("support", (2, 3, 50))),
        ("correlation(60, ethusdt)", FactorSpec("correlation", (60, "ETH/USDT"))),
        ("correlation(60, 'ETH/USDT:USDT')", FactorSpec("correlation", (60, "ETH/USDT:USDT"))),
    ],
)
def test_specifications_are_read(text, spec):
    assert parse_spec(text) == spec
    assert parse_spec(spec.text) == spec


@pytest.mark.parametrize(
    "text", ["", "atr(14", "atr 14)", "atr(14))", "1d:", "14", "a:b:c", "atr(14)rsi(3)", "atr(1(2))"]
)
def test_what_does_not_follow_the_grammar_is_refused_with_it(text):
    with pytest.raises(InputError, match="a factor is written as name") as error:
        parse_spec(text)
    assert repr(text) in str(error.value)


def test_wrong_names_and_parameters_are_refused():
    with pytest.raises(UnknownNameError, match="unknown factor 'atrr'"):
        parse_spec("atrr(14)")
    with pytest.raises(UnknownNameError, match="unknown interval '2d'"):
        parse_spec("2d:atr(14)")
    with pytest.raises(InputError, match="whole number, was 'x'"):
        parse_spec("atr(x)")
    with pytest.raises(InputError, match="at most 1d"):
        parse_spec("1w:day_open")


def test_a_list_is_split_outside_brackets_only():
    specs = parse_specs("atr(14), 1d:support(2,3,50),day_open")
    assert [s.text for s in specs] == ["atr(14)", "1d:support(2, 3, 50)", "day_open"]
    with pytest.raises(InputError, match="a factor is written as name"):
        parse_specs("atr(14),")


def test_values_at_chosen_bars():
    bars = with_peer(1, 3000, "5m")
    indices = np.array([2900, 50, 0, 2900])
    table = factor_table(bars, indices, ["atr(14)", "1d:range(2)", f"correlation(20, {PEER})", "5m:rsi(7)"])
    assert list(table) == ["atr(14)", "1d:range(2)", f"correlation(20, {PEER})", "5m:rsi(7)"]
    np.testing.assert_array_equal(table["atr(14)"], bars.factor("atr", 14)[indices])
    np.testing.assert_array_equal(table["1d:range(2)"], bars.at("1d").factor("range", 2)[indices])
    np.testing.assert_array_equal(table["5m:rsi(7)"], bars.factor("rsi", 7)[indices])
    assert np.isnan(table["atr(14)"][2])
    assert factor_table(bars, np.array([], dtype=np.int64), ["atr(14)"])["atr(14)"].shape == (0,)


@pytest.mark.parametrize("interval", INTERVAL_MS)
def test_the_default_set_is_defined_on_every_interval(interval):
    specs = default_specs(interval)
    assert len({s.text for s in specs}) == len(specs) > 70
    bars = market(2, 150, interval)
    table = factor_table(bars, np.arange(150), specs)
    assert all(values.shape == (150,) for values in table.values())


@pytest.mark.parametrize("text", ["atr(14)", "1d:range(2)", "1h:adx(5)", "gap", "1h:day_high", "1d:gap", "1d:ewm(1)"])
@pytest.mark.parametrize("interval", ["5m", "1h"])
def test_the_declared_warmup_covers_the_value(text, interval):
    spec = parse_spec(text)
    bars = market(3, 12 * 24 * 8 if interval == "5m" else 24 * 12, interval)
    whole = spec.values(bars)
    for t in np.random.default_rng(0).integers(len(bars) * 7 // 8, len(bars), 10):
        ts = int(bars.ts[t])
        window = bars.window(ts - spec.warmup_ms(interval), ts + interval_ms(interval))
        value = spec.values(window)[-1]
        assert value == whole[t] or (np.isnan(value) and np.isnan(whole[t]))


def test_a_factor_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"range\(10\) is named twice"):
        parse_specs("range(10), atr(14), range( 10 )")
