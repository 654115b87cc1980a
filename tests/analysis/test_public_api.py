import subprocess
import sys

import pytest

import toolkit as tk


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in tk.__all__:
        assert getattr(tk, name).__doc__, name
    assert set(tk.__all__) <= set(dir(tk))
    with pytest.raises(AttributeError, match="no attribute 'swep'"):
        tk.swep  # noqa: B018


def test_the_verbs_of_the_contract_are_public() -> None:
    assert {"load_bars", "backtest", "backtest_signals", "sweep", "portfolio_backtest", "verify"} <= set(tk.__all__)


VERBS = """
import toolkit as tk
for time in (1, 2):
    for verb in (tk.load_bars, tk.backtest, tk.backtest_signals, tk.sweep, tk.strategy):
        assert callable(verb), (time, verb)
    try:
        tk.sweep()
    except tk.LockstepError as error:
        print(error)
import toolkit.strategy
from typing import NamedTuple
class Params(NamedTuple):
    k: int = 1
@tk.strategy(intervals=("1m",), lookback=lambda p: 1)
def mine(bars: tk.Bars, p: Params) -> tk.Signals: ...
print(sorted(toolkit.strategy.registered()))
"""


def test_verbs_named_like_modules_stay_callable_once_the_modules_are_imported() -> None:
    done = subprocess.run([sys.executable, "-c", VERBS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == lines[1] and "a sweep needs an experiment" in lines[0]
    assert lines[2] == "['mine']"
