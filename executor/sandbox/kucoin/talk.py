"""`Tokens` and `Talk`: who may open a KuCoin websocket, and what is said on it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from executor.sandbox.kucoin.news import CANDLES, PRIVATE, SNAPSHOT, TICKER, Frame, ack, error, pong, welcome

INTERVALS = {
    "1min": "1m",
    "3min": "3m",
    "5min": "5m",
    "15min": "15m",
    "30min": "30m",
    "1hour": "1h",
    "2hour": "2h",
    "4hour": "4h",
    "6hour": "6h",
    "8hour": "8h",
    "12hour": "12h",
    "1day": "1d",
    "1week": "1w",
}


class Tokens:
    """Tokens of websocket addresses: a private one also hears of the account. They expire all at once."""

    def __init__(self) -> None:
        self._private: dict[str, bool] = {}
        self._made = 0

    def make(self, *, private: bool) -> str:
        self._made += 1
        token = f"2neAiuYvAU{'737TOajb2U3uT8' if private else '61ZDXANAGAsiL4'}-{self._made:08d}=="
        self._private[token] = private
        return token

    def is_known(self, token: str) -> bool:
        return token in self._private

    def is_private(self, token: str) -> bool:
        return self._private.get(token, False)

    def expire(self) -> None:
        """No token made so far opens a socket any more; sockets that are open stay so."""
        self._private.clear()


class Talk:
    """One socket's conversation. topics : what it hears of, such as `/market/ticker:BTC-USDT`.

    Parameters
    ----------
    names : the markets, as KuCoin writes them. connect_id : what the client calls the connection.
    wall_ms : the venue's clock. private : it may hear of the account.
    """

    def __init__(self, names: frozenset[str], connect_id: str, wall_ms: Callable[[], int], *, private: bool) -> None:
        self._names, self._connect_id, self._wall_ms, self._private = names, connect_id, wall_ms, private
        self.topics: set[str] = set()
        self.is_over = False

    def greeting(self) -> Frame:
        return welcome(self._connect_id)

    def answer(self, said: Mapping[str, Any]) -> list[Frame]:
        """What the venue says to it.

        Source: https://www.kucoin.com/docs-new/websocket-api/base-info/introduction and
        https://www.kucoin.com/docs-new/error-code/websocket
        """
        number, kind = str(said.get("id", "")), said.get("type")
        if kind == "ping":
            return [pong(number, self._wall_ms())]
        if kind not in ("subscribe", "unsubscribe"):
            return [error(number, 415, "type is not supported")]
        topic = str(said.get("topic") or "")
        wrong = self._wrong(number, topic)
        if wrong is not None:
            return [wrong]
        if kind == "subscribe":
            self.topics |= set(_single(topic))
        else:
            self.topics -= set(_single(topic))
        return [ack(number)] if said.get("response") in (True, "true") else []

    def _wrong(self, number: str, topic: str) -> Frame | None:
        if not topic:
            return error(number, 406, "topic is required")
        if topic in PRIVATE:
            return None if self._private else error(number, 403, "login is required")
        channel, _, rest = topic.partition(":")
        if channel not in (TICKER, CANDLES, SNAPSHOT) or not rest:
            return error(number, 404, f"topic {topic} is not found")
        for one in rest.split(","):
            name, _, interval = one.partition("_")
            is_known = (channel == TICKER and name == "all") or name in self._names
            if not is_known or (channel == CANDLES) != (interval in INTERVALS):
                return error(number, 400, f"topic {topic} is invalid")
        return None


def _single(topic: str) -> Iterator[str]:
    """A topic of several markets as one topic each."""
    channel, colon, rest = topic.partition(":")
    if not colon:
        yield topic
        return
    for one in rest.split(","):
        yield f"{channel}:{one}"
