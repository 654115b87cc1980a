"""`CandleStream`: a venue's candle updates by websocket, through ccxt.pro."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from executor.feed.base import Series
from executor.feed.polling import UnreachableError, brief, settings
from executor.feed.venues import errors, exchange_class
from toolkit.errors import InputError

# Without answer to a ping for about three times as long, a connection is given up.
_KEEP_ALIVE_MS = 10_000


class CandleStream:
    """One exchange's candle updates. A connection that broke is opened by the next call.

    Raises
    ------
    InputError : ccxt has no candle stream of this exchange.
    """

    def __init__(self, exchange: str, symbols: Sequence[str], options: Mapping[str, Any]) -> None:
        self._name, self._errors = exchange, errors()
        self._exchange = exchange_class(exchange, stream=True)(settings(exchange, symbols, options))
        if not self._exchange.has.get("watchOHLCV"):
            raise InputError(f"{exchange} has no candle stream; poll it instead")
        self._exchange.streaming["keepAlive"] = _KEEP_ALIVE_MS

    def take_over(self, markets: Sequence[Mapping[str, Any]]) -> None:
        """Know these markets, and ask for none: one unknown symbol would end the stream of all."""
        if not self._exchange.markets:
            self._exchange.set_markets(list(markets))

    async def newest(self, series: Series) -> int:
        """Open time of the newest candle, at its next update.

        Raises
        ------
        UnreachableError : the connection broke, or could not be opened.
        """
        # KuCoin's channels ask REST for an address, which ccxt leaves to an object that was opened.
        self._exchange.open()
        try:
            rows = await self._exchange.watch_ohlcv(series.symbol, series.base)
            # Rows change in place with the next update: only a copy leaves.
            return max(int(row[0]) for row in rows)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # ccxt cancels its watchers when a connection is closed.
            self._forget_token()
            raise UnreachableError(f"the candle stream of {self._name} was closed") from None
        except (self._errors.BaseError, OSError, ValueError, TypeError) as error:
            self._forget_token()
            raise UnreachableError(f"{self._name} streams no {series.symbol} candles ({brief(error)})") from error

    def _forget_token(self) -> None:
        """Ask for a new address: KuCoin's holds a token that expires, and ccxt keeps it."""
        if "urls" in self._exchange.options:
            self._exchange.options["urls"] = {}

    async def drop(self) -> None:
        """Close the connection; the next calls open another."""
        await self._exchange.close()

    async def close(self) -> None:
        await self._exchange.close()
