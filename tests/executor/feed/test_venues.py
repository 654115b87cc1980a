"""One exchange's classes, without the hundred others."""

import subprocess
import sys

import pytest

from executor.feed.venues import exchange_class
from toolkit.errors import UnknownNameError

_LEAN = """
import sys
from executor.feed.venues import exchange_class, errors
for name in ("gate", "kucoin", "binance"):
    plain, streaming = exchange_class(name, stream=False), exchange_class(name, stream=True)
    assert issubclass(streaming, plain) and plain().describe()["id"] == name
    assert streaming().describe()["has"]["watchOHLCV"]
assert issubclass(errors().RequestTimeout, errors().NetworkError)
others = [m for m in sys.modules if m.startswith("ccxt.") and m.rpartition(".")[2] in ("kraken", "okx", "bybit")]
print(others)
"""


def test_only_the_named_exchange_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", _LEAN], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_exchange_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown exchange 'gatee': did you mean .*gate"):
        exchange_class("gatee", stream=True)
