"""tsfresh's features against its own `extract_features`, and how they are asked for."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.factors.engines.cases import bits
from tests.factors.series import market
from toolkit.bars.series import Bars
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors.engines import windowed
from toolkit.factors.engines.windowed import Calculator, calculators, spelled
from toolkit.factors.table import expand_spec, factor_table, parse_spec, parse_specs
from toolkit.models.features import check_features, feature_peers, features_start
from toolkit.types import FloatArray


@pytest.fixture(scope="module")
def bars() -> Bars:
    return market(3, 400, "1h", unknown_volume=0.01)


def extracted(windows: list[FloatArray], settings: object) -> dict[str, FloatArray]:
    """tsfresh's own table, by names as they are spelled here; infinite values missing."""
    from tsfresh import extract_features

    long = pd.DataFrame(
        {"id": np.repeat(np.arange(len(windows)), [len(w) for w in windows]), "value": np.concatenate(windows)}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = extract_features(
            long, column_id="id", default_fc_parameters=settings, n_jobs=0, disable_progressbar=True,
            show_warnings=False,
        )  # fmt: skip
    return {spelled(c): table[c].replace([np.inf, -np.inf], np.nan).to_numpy(np.float64) for c in table.columns}


@pytest.mark.parametrize("window", [10, 100])
def test_the_efficient_set_is_what_tsfresh_extracts(bars: Bars, window: int) -> None:
    from tsfresh.feature_extraction.settings import EfficientFCParameters

    at = np.array([120, 250, 399])
    ours = factor_table(bars, at, [f"tsfresh_efficient({window})"])
    returns = np.array([np.log1p((b - a) / a) for a, b in zip(bars.close[:-1], bars.close[1:], strict=True)])
    theirs = extracted([returns[t - window : t].copy() for t in at.tolist()], EfficientFCParameters())
    assert len(ours) == len(theirs) == 777
    for name, values in theirs.items():
        mine = ours[f"tsfresh({window}, {name})"]
        assert bits(mine) == bits(values), (name, mine, values)


def test_the_minimal_set_of_volume_is_what_tsfresh_extracts(bars: Bars) -> None:
    from tsfresh.feature_extraction.settings import MinimalFCParameters

    at = np.arange(60, 400, 10)
    ours = factor_table(bars, at, ["tsfresh_volume_minimal(24)"])
    windows = [bars.volume[t - 23 : t + 1] for t in at.tolist()]
    known = np.array([not np.isnan(w).any() for w in windows])
    assert 0 < known.sum() < len(at)
    theirs = extracted([w / w.mean() for w in windows if not np.isnan(w).any()], MinimalFCParameters())
    assert set(ours) == {f"tsfresh_volume(24, {name})" for name in theirs}
    for name, values in theirs.items():
        mine = ours[f"tsfresh_volume(24, {name})"]
        assert bits(mine[known]) == bits(values)
        assert np.isnan(mine[~known]).all()


@pytest.mark.parametrize(
    "x",
    [np.zeros(30), np.full(30, 1e-9), np.r_[np.zeros(29), 1.0], np.tile([1e-3, -1e-3], 15), np.arange(30) * 1e300],
    ids=["zeros", "constant", "one move", "two values", "huge"],
)
def test_odd_windows_are_no_errors(x: FloatArray) -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for one in calculators().values():
            row = one.row(x)
            assert row.shape == (len(one.columns),)
            assert not np.isinf(row).any()


def test_a_calculator_runs_once_a_bar_for_all_of_its_features(bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(self: Calculator, x: FloatArray) -> FloatArray:
        calls.append(self.name)
        return row(self, x)

    row = Calculator.row
    monkeypatch.setattr(Calculator, "row", counted)
    fresh = bars.window(int(bars.ts[0]), int(bars.ts[-1]) + 1)
    names = [f"tsfresh(50, fft_coefficient__attr_{attr}__coeff_{k})" for attr in ("real", "imag") for k in range(9)]
    factor_table(fresh, np.array([90, 200, 90]), names)
    assert calls == ["fft_coefficient"] * 2
    fresh.base.drop_factors()
    factor_table(fresh, np.array([90, 200, 300]), [*names, "tsfresh(50, mean)"])
    assert calls == ["fft_coefficient"] * 3 + ["mean"] * 3
    # Another window, and another series, are other numbers.
    factor_table(fresh, np.array([90]), ["tsfresh(60, mean)", "tsfresh_volume(50, mean)"])
    assert calls[6:] == ["mean"] * 2


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("tsfresh(100, mean)", "tsfresh(100, mean)"),
        ("tsfresh", "tsfresh(100, standard_deviation)"),
        ("1h:tsfresh(20,  'maximum' )", "1h:tsfresh(20, maximum)"),
        ('tsfresh(20, fft_coefficient__attr_"abs"__coeff_1)', "tsfresh(20, fft_coefficient__attr_abs__coeff_1)"),
        ('tsfresh(20, "value__linear_trend__attr_"slope"")', "tsfresh(20, linear_trend__attr_slope)"),
        ("tsfresh(20, number_crossing_m__m_-1)", "tsfresh(20, number_crossing_m__m_-1)"),
        (
            "tsfresh(20, cwt_coefficients__coeff_3__w_5__widths_2_5_10_20)",
            "tsfresh(20, cwt_coefficients__coeff_3__w_5__widths_2_5_10_20)",
        ),
    ],
)
def test_names_of_features(text: str, column: str) -> None:
    assert parse_spec(text).text == column
    assert parse_spec(column) == parse_spec(text)


def test_every_name_is_its_own_spelling_and_fits_a_list() -> None:
    specs = expand_spec("1d:tsfresh_efficient(30)")
    texts = [spec.text for spec in specs]
    assert len(set(texts)) == 777
    assert parse_specs(", ".join(texts)) == specs
    assert all(spec.interval == "1d" for spec in specs)
    assert [s.text for s in expand_spec("tsfresh_minimal")][:2] == ["tsfresh(100, sum_values)", "tsfresh(100, median)"]
    # tsfresh's own spelling of the same.
    assert spelled("cwt_coefficients__coeff_3__w_5__widths_(2, 5, 10, 20)") in " ".join(texts)


def test_wrong_requests() -> None:
    with pytest.raises(UnknownNameError, match="unknown tsfresh feature 'means': did you mean 'mean'"):
        parse_spec("tsfresh(20, means)")
    with pytest.raises(InputError, match="window of factor tsfresh must be at least 10, was 9"):
        parse_spec("tsfresh(9, mean)")
    with pytest.raises(InputError, match="window of factor tsfresh_minimal must be a whole number, was 'mean'"):
        expand_spec("tsfresh_minimal(mean)")
    with pytest.raises(InputError, match=r"the set tsfresh_minimal takes \(window\), was given 2 values"):
        expand_spec("tsfresh_minimal(20, 30)")
    with pytest.raises(InputError, match="tsfresh_minimal is a set of factors, one is asked for here"):
        parse_spec("tsfresh_minimal(20)")
    with pytest.raises(UnknownNameError, match="did you mean 'tsfresh_minimal'"):
        expand_spec("tsfresh_minimum(20)")
    with pytest.raises(InputError, match=r"named twice|is named twice"):
        parse_specs("tsfresh_minimal(20), tsfresh(20, mean)")


def test_features_of_a_model_may_name_a_set() -> None:
    names = check_features(["side", "tsfresh_minimal(20)", "rsi(7)"], ["1h"])
    assert len(names) == 12
    assert names[:2] == ("side", "tsfresh(20, sum_values)")
    assert check_features(names, ["1h"]) == names
    assert feature_peers(["tsfresh_minimal(20)"]) == ()
    assert features_start(["tsfresh_minimal(20)"], "1h", 10**12) == features_start(names, "1h", 10**12)
    with pytest.raises(InputError, match=r"'tsfresh\(20, mean\)' is named twice"):
        check_features(["tsfresh_minimal(20)", "tsfresh(20, mean)"], ["1h"])


def test_without_the_library_the_sentence_names_the_extra(bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "tsfresh"]:
        monkeypatch.setitem(sys.modules, name, None)
    windowed._made.cache_clear()
    windowed._places.cache_clear()
    said = r"factor tsfresh needs tsfresh, which is not installed; install the extra lockstep\[features\]"
    for call in (
        lambda: parse_spec("tsfresh(20, mean)"), lambda: expand_spec("tsfresh_efficient(20)"),
        lambda: bars.factor_at(np.array([300]), "tsfresh"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            call()
    # The default is known without it.
    assert parse_spec("tsfresh(20)").text == "tsfresh(20, standard_deviation)"
