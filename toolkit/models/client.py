"""Asking a model server: one question, one answer or the reason why there is none, within a deadline, never raising.

Thin on purpose: the standard library alone, one connection that is kept, and nothing that waits without a limit. Host
names are not looked up, since a name server that hangs would hang the bar.
"""

import http.client
import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from toolkit.errors import InputError
from toolkit.models.connection import Connection, address

DEFAULT_DEADLINE_SECS = 0.25
_VERDICTS = ("accepted", "vetoed")


class Opinion(NamedTuple):
    """What a model says of one row: its probability (NaN = it has none), and the share of a full size (0 = a veto)."""

    prediction: float
    accepted: bool
    scale: float


class Answer(NamedTuple):
    """What a model says of rows, in their order, and which version of it that was."""

    model: str
    version: str
    opinions: tuple[Opinion, ...]


class ModelClient:
    """Asks one server, from one thread at a time; others wait, within their deadline.

    Parameters
    ----------
    url : `http://127.0.0.1:8788`; the host is an address or localhost.
    token : the server's. deadline_secs : of a whole question, connecting included.

    Raises
    ------
    InputError : the url, the token or the deadline cannot be used; nothing else here raises.
    """

    def __init__(self, url: str, token: str, *, deadline_secs: float = DEFAULT_DEADLINE_SECS) -> None:
        self.url, (self._host, self._port) = url, address(url)
        if not math.isfinite(deadline_secs) or deadline_secs <= 0:
            raise InputError(f"`deadline_secs` must be above 0, was {deadline_secs}")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InputError("the token of a model server must be printable ASCII without blanks")
        self.deadline_secs = deadline_secs
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def predict(
        self, model: str, rows: Sequence[Mapping[str, float]], *, deadline_secs: float | None = None
    ) -> Answer | str:
        """What a model says of rows; a text is the reason why there is no answer.

        Parameters
        ----------
        model : `name` (its newest version) or `name@version`.
        rows : feature values by name, NaN = missing; every feature of the model and no other.
        deadline_secs : over the client's own.

        Returns
        -------
        An `Answer` with as many opinions as rows, or one sentence.
        """
        try:
            body = json.dumps({"model": model, "rows": [_sent(row) for row in rows]}, allow_nan=False).encode()
        except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
            return f"the rows for model {model} cannot be sent: {error}"
        said = self._ask("POST", "/predict", body, deadline_secs)
        return said if isinstance(said, str) else _read(said, model, len(rows))

    def models(self, *, deadline_secs: float | None = None) -> list[dict[str, Any]] | str:
        """What the server answers with, as `GET /models` says it; a text is the reason why it is not known."""
        said = self._ask("GET", "/models", None, deadline_secs)
        if isinstance(said, str):
            return said
        found = said.get("models")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            return f"model server {self.url} answered with something else than a list of models"
        return found

    def close(self) -> None:
        """Let the connection go; the next question makes a new one."""
        with self._lock:
            self._drop()

    def __enter__(self) -> "ModelClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes | None, deadline_secs: float | None) -> dict[str, Any] | str:
        limit = self.deadline_secs if deadline_secs is None else deadline_secs
        until = time.monotonic() + limit
        if not self._lock.acquire(timeout=max(0.0, limit)):
            return f"model server {self.url} was still being asked something else after {limit:g} s"
        try:
            return self._asked(method, path, body, until)
        except TimeoutError:
            return f"model server {self.url} did not answer within {limit:g} s"
        except (OSError, http.client.HTTPException) as error:
            return f"model server {self.url} cannot be asked: {_text(error)}"
        except (ValueError, RecursionError) as error:
            return f"model server {self.url} answered with something that is no answer: {_text(error)}"
        finally:
            self._lock.release()

    def _asked(self, method: str, path: str, body: bytes | None, until: float) -> dict[str, Any] | str:
        """One question; what is left of one that failed must not be taken for the answer to the next."""
        whole = False
        try:
            status, text = self._exchange(method, path, body, until)
            whole = True
        finally:
            if not whole:
                self._drop()
        said = json.loads(text, parse_constant=_refuse)
        if not isinstance(said, dict):
            raise ValueError("it is no JSON object")
        if status != 200:
            why = " ".join(str(said.get("error", "no reason given")).split())[:500]
            return f"model server {self.url} refused ({status}): {why}"
        return said

    def _exchange(self, method: str, path: str, body: bytes | None, until: float) -> tuple[int, bytes]:
        if self._connection is not None:
            # A server closes what was idle for long, which shows only when it is used.
            try:
                return self._connection.exchange(method, path, body, self._headers, until)
            except TimeoutError:
                raise
            except (ConnectionError, http.client.BadStatusLine):
                self._drop()
        self._connection = Connection(self._host, self._port, until)
        return self._connection.exchange(method, path, body, self._headers, until)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _sent(row: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else float(value) for name, value in row.items()}


def _read(said: Mapping[str, Any], model: str, rows: int) -> Answer | str:
    """The answer, every part of it checked: what a server says decides over money."""
    name, _, wanted = model.partition("@")
    if said.get("model") != name or not isinstance(said.get("version"), str):
        return f"asked for model {model}, the server answered for {said.get('model')!r} {said.get('version')!r}"
    if wanted and said["version"] != wanted:
        return f"asked for version {wanted} of model {name}, the server answered with {said['version']}"
    opinions = said.get("rows")
    if not isinstance(opinions, list) or len(opinions) != rows:
        count = len(opinions) if isinstance(opinions, list) else "no"
        return f"asked model {model} about {rows} rows, the server answered about {count}"
    read = [_opinion(one) for one in opinions]
    good = tuple(opinion for opinion in read if opinion is not None)
    if len(good) != rows:
        return f"the server's answer for model {model} is no prediction: {json.dumps(opinions[read.index(None)])[:200]}"
    return Answer(name, said["version"], good)


def _opinion(one: Any) -> Opinion | None:
    if not isinstance(one, dict):
        return None
    verdict, scale = one.get("verdict"), _share(one.get("scale"))
    prediction = math.nan if one.get("prediction", "") is None else _share(one.get("prediction"))
    if verdict not in _VERDICTS or scale is None or prediction is None:
        return None
    accepted = verdict == "accepted"
    if accepted != (scale > 0) or (accepted and math.isnan(prediction)):
        return None
    return Opinion(prediction, accepted, scale)


def _share(value: Any) -> float | None:
    """A number from 0 to 1; None for anything else."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if right else None


def _refuse(text: str) -> float:
    raise ValueError(f"it holds {text}")


def _text(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return str(said)[:300]
