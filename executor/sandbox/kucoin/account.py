"""KuCoin's market and account routes on the venue's core."""

from collections.abc import Iterable

from executor.sandbox.book import Booked, Listing, Venue
from executor.sandbox.kucoin.asked import Asked
from executor.sandbox.kucoin.errors import BAD_PARAMETER, UNKNOWN_SYMBOL, KucoinError
from executor.sandbox.kucoin.frames import (
    Frame,
    account_row,
    booked_row,
    candle_row,
    currency_row,
    level1,
    symbol_row,
    ticker_row,
)
from executor.sandbox.kucoin.talk import INTERVALS
from toolkit.bars.intervals import DAY_MS

# Rows of candles in one answer.
_MOST_CANDLES = 1500


class Markets:
    """What `/api/v1/market...`, `/api/v2/symbols` and `/api/v3/currencies` say."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def symbols(self, _: Asked) -> list[Frame]:
        return [symbol_row(listing) for listing in self.listed()]

    def currencies(self, _: Asked) -> list[Frame]:
        return [currency_row(name) for name in _names(self.listed(), self._venue.balances())]

    def ticker(self, asked: Asked) -> Frame:
        return self.day(self._listing(asked))

    def tickers(self, _: Asked) -> Frame:
        return {"time": self._venue.now(), "ticker": [self.day(listing) for listing in self.listed()]}

    def level1(self, asked: Asked) -> Frame:
        return level1(self._venue.last_price(self._listing(asked).symbol), self._venue.now())

    def candles(self, asked: Asked) -> list[list[str]]:
        """The newest first, the open one with them; `startAt` and `endAt` in seconds."""
        listing, interval = self._listing(asked), INTERVALS.get(asked.text("type"))
        if interval is None:
            raise KucoinError(BAD_PARAMETER)
        now = self._venue.now() // 1000
        first, last = asked.whole("startAt", now - DAY_MS // 1000), asked.whole("endAt", now)
        rows = self._venue.candles(listing.symbol, interval, first * 1000, last * 1000)
        return [candle_row(row) for row in reversed(rows[-_MOST_CANDLES:])]

    def day(self, listing: Listing) -> Frame:
        """24 hours of a market."""
        price, day = self._venue.last_price(listing.symbol), self._venue.day(listing.symbol)
        return ticker_row(listing, price, day, self._venue.now())

    def listed(self) -> list[Listing]:
        """Spot markets; delisted ones are gone."""
        found = self._venue.listings.values()
        return [listing for listing in found if listing.market == "spot" and listing.status != "delisted"]

    def _listing(self, asked: Asked) -> Listing:
        listing = self._venue.listings.get(asked.symbol())
        if listing is None or listing.market != "spot":
            raise KucoinError(UNKNOWN_SYMBOL)
        return listing


class Account:
    """What `/api/v1/accounts` and the account's book say. All money is in the high-frequency trading account."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def accounts(self, asked: Asked) -> list[Frame]:
        kind = str(asked.values.get("type") or "trade_hf")
        if kind == "main":
            return []
        wanted = asked.values.get("currency")
        return [
            account_row(currency, money.total, money.free, kind)
            for currency, money in self._venue.balances().items()
            if wanted in (None, "", currency)
        ]

    def ledger(self, asked: Asked) -> list[Frame]:
        wanted = str(asked.values.get("currency") or "")
        found: list[Booked] = [
            row
            for currency in (wanted.split(",") if wanted else [""])
            for row in self._venue.booked(currency, asked.whole("startAt", 0))
        ]
        newest = sorted(found, key=lambda row: (row.ts_ms, row.id))[-asked.whole("limit", 100) :]
        return [booked_row(row) for row in reversed(newest)]


def _names(listings: Iterable[Listing], held: Iterable[str]) -> list[str]:
    return sorted({name for listing in listings for name in (listing.base, listing.quote)} | set(held))
