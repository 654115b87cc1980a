"""`GateServer`: Gate.io's public spot endpoints over HTTP on 127.0.0.1, with faults on demand."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.exchange.faults import Fault, Faults
from tests.exchange.market import INTERVAL_SECS, MAX_PAGE, Market

PREFIX = "/api/v4"


class GateServer:
    """A context manager; serves `market` on a free port until it is left."""

    def __init__(self, market: Market, faults: Iterable[Fault] = ()) -> None:
        self.market = market
        self.faults = Faults(list(faults))
        self.queries: list[dict[str, str]] = []

    def __enter__(self) -> "GateServer":
        owner = self

        class Handler(_Handler):
            server_ = owner

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.release()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}{PREFIX}"

    def ccxt_options(self) -> dict[str, Any]:
        """Settings that point ccxt's `gate` here, spot markets only."""
        sections = ("wallet", "futures", "margin", "delivery", "spot", "options")
        return {
            "urls": {"api": {"public": dict.fromkeys(sections, self.url)}},
            "options": {"fetchMarkets": {"types": ["spot"]}},
            "rateLimit": 1,
            "timeout": 5000,
        }


class _Server(ThreadingHTTPServer):
    # A killed client leaves a thread that waits to write to it.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of these tests are killed and cut off on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_: GateServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        route = parts.path.removeprefix(PREFIX)
        if route == "/spot/candlesticks":
            self._candlesticks(query)
        elif route == "/spot/time":
            self._answer({"server_time": self.server_.market.clock_ms()})
        elif route == "/spot/currencies":
            names = {name for symbol in self.server_.market.minutes for name in symbol.split("_")}
            self._answer([{"currency": name, "name": name, "delisted": False, "chains": []} for name in sorted(names)])
        elif route == "/spot/currency_pairs":
            self._answer([_pair(symbol) for symbol in self.server_.market.minutes])
        elif route == "/margin/currency_pairs":
            self._answer([])
        else:
            self._refuse(404, "NOT_FOUND", f"no route {route}")

    def _candlesticks(self, query: dict[str, str]) -> None:
        self.server_.queries.append(query)
        fault = self.server_.faults.next()
        if fault is not None and self._befall(fault):
            return
        market = self.server_.market
        interval = query.get("interval", "30m")
        if interval not in INTERVAL_SECS:
            return self._refuse(400, "INVALID_PARAM_VALUE", "Invalid interval")
        if query["currency_pair"] not in market.minutes:
            return self._refuse(400, "INVALID_CURRENCY_PAIR", "Invalid currency pair")
        step = INTERVAL_SECS[interval]
        now = market.clock_ms() // 1000
        if "from" in query:
            if "limit" in query:
                return self._refuse(400, "INVALID_PARAM_VALUE", "limit conflicts with from and to")
            first, last = int(query["from"]), int(query.get("to", now))
        else:
            last = int(query.get("to", now))
            first = last - (int(query.get("limit", 100)) - 1) * step
        if (last - first) // step + 1 > MAX_PAGE:
            message = f"Candlestick range too broad. Maximum {MAX_PAGE} data points are allowed per request"
            return self._refuse(400, "INVALID_PARAM_VALUE", message)
        if market.too_old(interval, first):
            message = f"Candlestick too long ago. Maximum {market.history_bars} points ago are allowed"
            return self._refuse(400, "INVALID_PARAM_VALUE", message)
        rows = market.candles(query["currency_pair"], interval, first, last)
        self._answer(rows, cut=fault.kind if fault else "")

    def _befall(self, fault: Fault) -> bool:
        """Do what the fault says; True where there is nothing left to answer."""
        if fault.kind == "bad_gateway":
            self._send(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")
        elif fault.kind == "rate_limit":
            self._send(
                429,
                json.dumps({"label": "TOO_MANY_REQUESTS", "message": "Request Rate limit Exceeded"}).encode(),
                "application/json",
                {"Retry-After": f"{fault.secs:g}"},
            )
        elif fault.kind == "reset":
            # Linger 0: the kernel sends a reset instead of a farewell.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        else:
            if fault.kind == "slow":
                time.sleep(fault.secs)
            elif fault.kind == "hold":
                self.server_.faults.wait_released()
            return False
        return True

    def _refuse(self, status: int, label: str, message: str) -> None:
        self._send(status, json.dumps({"label": label, "message": message}).encode(), "application/json")

    def _answer(self, value: Any, cut: str = "") -> None:
        body = json.dumps(value).encode()
        if cut == "cut_body":
            self._send(200, body, "application/json", keep=len(body) // 2)
        else:
            self._send(200, body[: len(body) // 2] if cut == "cut_json" else body, "application/json")

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None, keep: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:keep])
        if keep is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: the default prints every request to stderr."""


def _pair(symbol: str) -> dict[str, Any]:
    base, quote = symbol.split("_")
    return {
        "id": symbol, "base": base, "quote": quote, "fee": "0.2", "min_base_amount": "0.0001",
        "min_quote_amount": "3", "amount_precision": 5, "precision": 2, "trade_status": "tradable",
        "sell_start": 0, "buy_start": 1_500_000_000, "type": "normal",
    }  # fmt: skip
