"""`Talk`: what is said on a Gate websocket."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from executor.sandbox.gate.signing import GateKey, socket_denial
from toolkit.bars.intervals import INTERVAL_MS

Frame = dict[str, Any]

ALL = "!all"
_PUBLIC = ("candlesticks", "tickers")
_PRIVATE = {
    "spot": ("orders", "usertrades", "balances", "priceorders"),
    "futures": ("orders", "usertrades", "balances", "positions", "autoorders"),
}


class Talk:
    """One socket's conversation.

    Parameters
    ----------
    section : "spot" or "futures". names : its markets, as Gate writes them.
    now_ms, wall_ms : the market's time and the venue's own clock.

    Attributes
    ----------
    heard : what it hears of: channel and market, for candles with the interval before the market; `!all` for all.
    """

    is_over = False

    def __init__(
        self, section: str, names: Collection[str], key: GateKey, now_ms: Callable[[], int],
        wall_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self.section, self._names, self._key = section, names, key
        self._now_ms, self._wall_ms = now_ms, wall_ms
        self.heard: set[tuple[str, str]] = set()

    def greeting(self) -> None:
        """Gate says nothing first."""

    def answer(self, said: Frame) -> list[Frame]:
        """Source: https://www.gate.com/docs/developers/apiv4/ws/en/#server-response"""
        channel, event = str(said.get("channel") or ""), said.get("event")
        if channel == f"{self.section}.ping":
            return [self._frame(f"{self.section}.pong", "", None)]
        error = self._error(said, channel)
        more = {"id": said.get("id"), "payload": said.get("payload")}
        if error is not None:
            return [self._frame(channel, str(event), {"status": "fail"}, error=error, **more)]
        wanted = set(self._wanted(channel, said.get("payload") or []))
        if event == "unsubscribe":
            self.heard -= wanted
        else:
            self.heard |= wanted
        return [self._frame(channel, str(event), {"status": "success"}, **more)]

    def is_wanted(self, channel: str, name: str) -> bool:
        """Whether it hears of this: a channel without its section, and a market."""
        return (channel, name) in self.heard or (channel, ALL) in self.heard

    def news(self, channel: str, result: object) -> Frame:
        """An update. Source: https://www.gate.com/docs/developers/apiv4/ws/en/#server-notification"""
        return self._frame(f"{self.section}.{channel}", "update", result)

    def _frame(self, channel: str, event: str, result: object, **more: object) -> Frame:
        now = self._now_ms()
        return {"time": now // 1000, "time_ms": now, "channel": channel, "event": event, "result": result, **more}

    def _error(self, said: Mapping[str, Any], channel: str) -> Frame | None:
        section, _, name = channel.partition(".")
        payload = said.get("payload") or []
        if said.get("event") not in ("subscribe", "unsubscribe") or section != self.section:
            return {"code": 1, "message": f"invalid argument: unknown event or channel {channel}"}
        if name in _PRIVATE[self.section]:
            return self._private_error(said, name, payload)
        if name not in _PUBLIC:
            return {"code": 1, "message": f"invalid argument: unknown channel {channel}"}
        if name == "candlesticks":
            if len(payload) != 2 or payload[0] not in INTERVAL_MS:
                return {"code": 2, "message": "invalid argument: interval"}
            payload = payload[1:]
        return self._unknown(payload)

    def _private_error(self, said: Mapping[str, Any], name: str, payload: list[Any]) -> Frame | None:
        denied = socket_denial(said, self._key, self._wall_ms())
        if denied is not None:
            return {"code": 4, "message": f'{{"label":"{denied.label}","message":"{denied.text}"}}\n'}
        if self.section == "futures":
            if not payload or str(payload[0]) != self._key.uid:
                return {"code": 2, "message": "invalid argument: user id"}
            payload = payload[1:]
        return None if name == "balances" else self._unknown(payload)

    def _unknown(self, names: list[Any]) -> Frame | None:
        what = "currency pair" if self.section == "spot" else "contract"
        unknown = [str(one) for one in names if one != ALL and one not in self._names]
        if unknown or not names:
            return {"code": 2, "message": f"unknown {what}: {', '.join(unknown)}"}
        return None

    def _wanted(self, channel: str, payload: list[Any]) -> list[tuple[str, str]]:
        name = channel.partition(".")[2]
        if name == "candlesticks":
            return [(name, f"{payload[0]}_{payload[1]}")]
        if name == "balances":
            return [(name, ALL)]
        if name in _PRIVATE[self.section] and self.section == "futures":
            payload = payload[1:]
        return [(name, str(one)) for one in payload]
