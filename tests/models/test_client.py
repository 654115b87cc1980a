"""The client of a model server: an answer or a reason within its deadline, whatever the other side does."""

import json
import math
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.serve.false_server import Reply, false_server, http_answer, sends
from toolkit.errors import InputError
from toolkit.models.client import Answer, ModelClient, Opinion

TOKEN = "a-token-of-the-tests"
ROW = {"side": 1.0, "rsi(14)": math.nan}
# Far more than a loaded machine takes for an answer that is there; a deadline that is to pass is a short one.
LONG, SHORT = 30.0, 0.2


def said(**over: Any) -> dict[str, Any]:
    opinion = {"prediction": 0.625, "verdict": "accepted", "scale": 1.0}
    return {"model": "trend", "version": "20230101T000000-0", "rows": [opinion], **over}


def asked(reply: Reply, model: str = "trend", deadline: float = LONG) -> Answer | str:
    with false_server(reply) as (url, _), ModelClient(url, TOKEN, deadline_secs=deadline) as client:
        return client.predict(model, [ROW])


def reason(reply: Reply, model: str = "trend", deadline: float = LONG) -> str:
    answer = asked(reply, model, deadline)
    assert isinstance(answer, str), answer
    assert "\n" not in answer
    return answer


def answers(table: Any) -> Reply:
    return sends(http_answer(json.dumps(table).encode()))


def test_an_answer_and_what_was_sent_for_it() -> None:
    with false_server(answers(said())) as (url, seen), ModelClient(url, TOKEN, deadline_secs=LONG) as client:
        answer = client.predict("trend", [ROW])
    assert answer == Answer("trend", "20230101T000000-0", (Opinion(0.625, True, 1.0),))
    head, _, body = seen[0].partition(b"{")
    assert b"POST /predict HTTP/1.1" in head
    assert f"Authorization: Bearer {TOKEN}".encode() in head
    # A missing value is null.
    assert json.loads(b"{" + body) == {"model": "trend", "rows": [{"side": 1.0, "rsi(14)": None}]}


def test_one_connection_serves_many_questions() -> None:
    ports = set()

    def reply(peer: socket.socket, number: int) -> None:
        ports.add(peer.getpeername())
        peer.sendall(http_answer(json.dumps(said()).encode()))

    with false_server(reply) as (url, seen), ModelClient(url, TOKEN, deadline_secs=LONG) as client:
        for _ in range(5):
            assert isinstance(client.predict("trend", [ROW]), Answer)
        client.close()
        assert isinstance(client.predict("trend", [ROW]), Answer)
    assert len(seen) == 6
    assert len(ports) == 2


def test_a_connection_that_was_closed_while_idle_is_made_again() -> None:
    ports, answer = set(), sends(http_answer(json.dumps(said()).encode()), close=True)

    def reply(peer: socket.socket, number: int) -> None:
        ports.add(peer.getpeername())
        answer(peer, number)

    with false_server(reply) as (url, _), ModelClient(url, TOKEN, deadline_secs=LONG) as client:
        for _ in range(3):
            assert isinstance(client.predict("trend", [ROW]), Answer)
    assert len(ports) == 3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_predictions_come_back_to_the_bit(values: list[float]) -> None:
    rows = [{"prediction": v, "verdict": "accepted" if v > 0 else "vetoed", "scale": v} for v in values]
    with false_server(answers(said(rows=rows))) as (url, _), ModelClient(url, TOKEN, deadline_secs=LONG) as client:
        answer = client.predict("trend", [ROW] * len(values))
    assert isinstance(answer, Answer)
    for value, opinion in zip(values, answer.opinions, strict=True):
        assert struct.pack("d", value) == struct.pack("d", opinion.prediction) == struct.pack("d", opinion.scale)


def test_no_prediction_is_a_veto() -> None:
    answer = asked(answers(said(rows=[{"prediction": None, "verdict": "vetoed", "scale": 0.0}])))
    assert isinstance(answer, Answer)
    assert math.isnan(answer.opinions[0].prediction)
    assert not answer.opinions[0].accepted


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    text = ModelClient(f"http://127.0.0.1:{port}", TOKEN, deadline_secs=LONG).predict("trend", [ROW])
    assert isinstance(text, str)
    assert "cannot be asked: Connection refused" in text


def test_a_server_that_hangs() -> None:
    hold = threading.Event()
    began = time.monotonic()
    text = reason(lambda peer, number: hold.wait() and None, deadline=SHORT)
    assert "did not answer within 0.2 s" in text
    # Not a measure of speed: it must end although the server never does.
    assert time.monotonic() - began < LONG
    hold.set()


def test_a_server_that_drips_cannot_stretch_the_deadline() -> None:
    end = threading.Event()

    def drip(peer: socket.socket, number: int) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not end.wait(0.01):
            peer.sendall(b" ")

    assert "did not answer within 0.2 s" in reason(drip, deadline=SHORT)
    end.set()


def test_headers_that_never_end() -> None:
    end = threading.Event()

    def drip(peer: socket.socket, number: int) -> None:
        while not end.wait(0.01):
            peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    assert "did not answer within 0.2 s" in reason(drip, deadline=SHORT)
    end.set()


def test_what_came_too_late_is_not_taken_for_the_next_answer() -> None:
    late, release = json.dumps(said(version="20220101T000000-late")).encode(), threading.Event()

    def reply(peer: socket.socket, number: int) -> None:
        if number == 0:
            release.wait()
            peer.sendall(http_answer(late))
        else:
            peer.sendall(http_answer(json.dumps(said()).encode()))

    with false_server(reply) as (url, _), ModelClient(url, TOKEN, deadline_secs=LONG) as client:
        assert isinstance(client.predict("trend", [ROW], deadline_secs=SHORT), str)
        release.set()
        answer = client.predict("trend", [ROW])
    assert isinstance(answer, Answer)
    assert answer.version == said()["version"]


def test_killed_in_the_middle_of_an_answer() -> None:
    whole = http_answer(json.dumps(said()).encode())

    def reply(peer: socket.socket, number: int) -> None:
        peer.sendall(whole[:-10])
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.shutdown(socket.SHUT_RDWR)

    assert "cannot be asked" in reason(reply)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"\x00\xff rubbish\r\n\r\n", "cannot be asked"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: twelve\r\n\r\n", "is no answer"),
        (http_answer(b"<html>no</html>"), "is no answer"),
        (http_answer(b"\xff\xfe"), "is no answer"),
        (http_answer(b"[" * 100_000), "is no answer"),
        (http_answer(b"[1]"), "it is no JSON object"),
        (http_answer(b'{"rows": NaN}'), "it holds NaN"),
        (http_answer(b" " * (1 << 21)), "longer than"),
        (http_answer(b'{"error": "too\\nmany"}', status="503 no"), "refused (503): too many"),
        (http_answer(b"{}", status="500 no"), "refused (500): no reason given"),
        (http_answer(b"", status="302 away", headers="Location: http://127.0.0.1:1/\r\n"), "is no answer"),
    ],
)
def test_rubbish_is_a_reason(sent: bytes, expected: str) -> None:
    assert expected in reason(sends(sent, close=True))


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"model": "other"}, "answered for 'other'"),
        ({"version": 7}, "answered for 'trend' 7"),
        ({"rows": []}, "about 1 rows, the server answered about 0"),
        ({"rows": None}, "about no"),
        ({"rows": [{"prediction": 0.6, "verdict": "accepted"}]}, "is no prediction"),
        ({"rows": [{"verdict": "vetoed", "scale": 0.0}]}, "is no prediction"),
        ({"rows": [None]}, "is no prediction"),
        *(
            ({"rows": [{"prediction": p, "verdict": v, "scale": s}]}, "is no prediction")
            for p, v, s in [
                (1.5, "accepted", 1.0),
                (-0.1, "accepted", 1.0),
                ("0.6", "accepted", 1.0),
                (True, "accepted", 1.0),
                (0.6, "yes", 1.0),
                (0.6, "accepted", 0.0),
                (0.6, "vetoed", 1.0),
                (0.6, "accepted", 1.1),
                (0.6, "accepted", None),
                (None, "accepted", 1.0),
            ]
        ),
    ],
)
def test_an_answer_that_cannot_be_right_is_none(over: dict[str, Any], expected: str) -> None:
    assert expected in reason(answers(said(**over)))


def test_another_version_than_asked_for_is_no_answer() -> None:
    assert "the server answered with 20230101T000000-0" in reason(answers(said()), model="trend@20220101T000000-0")
    assert isinstance(asked(answers(said()), model="trend@20230101T000000-0"), Answer)


@pytest.mark.parametrize("value", [math.inf, 10**400, "high", None])
def test_values_that_cannot_be_sent_are_a_reason(value: Any) -> None:
    client = ModelClient("http://127.0.0.1:1", TOKEN)
    text = client.predict("trend", [{"side": value}])
    assert isinstance(text, str)
    assert "cannot be sent" in text


def test_models_of_the_server() -> None:
    with (
        false_server(answers({"models": [{"name": "trend"}]})) as (url, _),
        ModelClient(url, TOKEN, deadline_secs=LONG) as client,
    ):
        assert client.models() == [{"name": "trend"}]
    with false_server(answers({"models": 3})) as (url, _), ModelClient(url, TOKEN, deadline_secs=LONG) as client:
        assert "something else" in str(client.models())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://127.0.0.1:1", "plain http"),
        ("http://127.0.0.1", "plain http"),
        ("http://models:8788", "must be an address or localhost"),
        ("http://127.0.0.1:8788/predict", "plain http"),
        ("http://127.0.0.1:99999", "cannot be read"),
        ("", "plain http"),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused_at_once(url: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        ModelClient(url, TOKEN)


@pytest.mark.parametrize("token", ["", "two words", "naïve", "new\nline"])
def test_a_token_that_is_none_is_refused_at_once(token: str) -> None:
    with pytest.raises(InputError, match="token"):
        ModelClient("http://localhost:1", token)


def test_it_is_thin() -> None:
    heavy = "{'pandas','polars','duckdb','sklearn','lightgbm','numpy','fastapi','uvicorn','requests'}"
    code = f"import sys, toolkit.models.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
