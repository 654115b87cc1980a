"""Notices go out once, in one message where many wait, again where nobody took them, and never with an address."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from executor.ledger import Ledger
from executor.notify import Notifier
from tests.executor.supervisor.sink import Sink
from toolkit.errors import InputError

# Of the standard library, on its way out with Python 3.13; apprise brings its own there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOW = 1_700_000_000_000
DAY = 86_400_000


class Clock:
    """Seconds, and epoch ms beside them."""

    def __init__(self) -> None:
        self.secs = 0.0

    def __call__(self) -> float:
        return self.secs

    def wall(self) -> int:
        return NOW + round(1000 * self.secs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "executor.sqlite"
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta("account", "canary")
        ledger.set_meta("mode", "dry")
    return path


def leave(path: Path, *texts: str, level: str = "info", at: int = NOW, kind: str = "trade opened") -> None:
    with Ledger.open(path) as ledger:
        for text in texts:
            ledger.insert("notices", {"ts_ms": at, "level": level, "kind": kind, "text": text})


def unsent(path: Path) -> list[str]:
    with Ledger.open(path, readonly=True) as ledger:
        return [row["text"] for row in ledger.rows("SELECT text FROM notices WHERE sent_ms IS NULL ORDER BY id")]


def url(sink: Sink) -> str:
    return sink.url.replace("http://", "json://")


def notifier(path: Path, clock: Clock, *sinks: Sink) -> Notifier:
    return Notifier(path, [url(sink) for sink in sinks], gap_secs=30.0, clock=clock, wall_ms=clock.wall)


def messages(sink: Sink) -> list[dict[str, str]]:
    return [json.loads(request.body) for request in sink.requests]


def test_a_notice_goes_out_at_once_and_once(path: Path) -> None:
    clock = Clock()
    with Sink() as sink:
        sender = notifier(path, clock, sink)
        leave(path, "opened long BTC/USDT")
        for _ in range(3):
            sender.cycle()
            clock.secs += 60.0
        (message,) = messages(sink)
    assert message["title"] == "Lockstep canary (dry): trade opened"
    assert (message["message"], message["type"]) == ("opened long BTC/USDT", "info")
    assert unsent(path) == []


def test_a_storm_becomes_one_message_that_keeps_the_gravest(path: Path) -> None:
    clock = Clock()
    with Sink() as sink:
        sender = notifier(path, clock, sink)
        leave(path, "first")
        sender.cycle()
        leave(path, *(f"closed {k}" for k in range(300)))
        leave(path, "a strategy raised", level="error", kind="disabled")
        leave(path, *(f"opened {k}" for k in range(100)))
        clock.secs = 29.0
        sender.cycle()
        assert len(sink.requests) == 1
        clock.secs = 31.0
        sender.cycle()
        sender.cycle()
        message = messages(sink)[1]
        assert len(sink.requests) == 2
    lines = message["message"].splitlines()
    assert message["title"].endswith("401 notices") and message["type"] == "failure"
    assert len(lines) == 21 and "a strategy raised" in lines and lines[-1] == "and 381 more: executor status"
    assert lines[-2] == "opened 99"
    assert unsent(path) == []


def test_what_nobody_took_is_sent_again_after_pauses_that_grow(path: Path) -> None:
    clock = Clock()
    with Sink() as sink:
        sink.status = 500
        sender = notifier(path, clock, sink)
        leave(path, "halted")
        tried = []
        for second in range(0, 200):
            clock.secs = float(second)
            before = len(sink.requests)
            sender.cycle()
            if len(sink.requests) > before:
                tried.append(second)
            assert unsent(path) == ["halted"]
        # 10, 20, 40, 80 s, each cut by up to a half.
        assert 4 <= len(tried) <= 7
        gaps = [b - a for a, b in pairwise(tried)]
        assert all(half * 5 <= gap <= half * 10 + 1 for half, gap in zip((1, 2, 4, 8), gaps, strict=False))
        sink.status = 200
        leave(path, "resumed")
        clock.secs = 2_000.0
        sender.cycle()
        assert messages(sink)[-1]["message"] == "halted\nresumed"
    assert unsent(path) == []


def test_an_address_that_fails_holds_up_no_other_and_gets_what_it_missed(path: Path) -> None:
    clock = Clock()
    with Sink() as good, Sink() as bad:
        bad.status = 503
        sender = notifier(path, clock, bad, good)
        leave(path, "one")
        sender.cycle()
        assert unsent(path) == []
        leave(path, "two", at=NOW + 40_000)
        clock.secs = 40.0
        sender.cycle()
        bad.status = 200
        clock.secs = 1_000.0
        sender.cycle()
        assert [m["message"] for m in messages(good)] == ["one", "two"]
        assert messages(bad)[-1]["message"] == "one\ntwo"


def test_a_start_sends_what_was_left_of_a_day_and_no_history(path: Path) -> None:
    clock = Clock()
    leave(path, "long ago", at=NOW - 2 * DAY)
    leave(path, "an hour ago", at=NOW - 3_600_000)
    with Sink() as sink:
        notifier(path, clock, sink).cycle()
        assert [m["message"] for m in messages(sink)] == ["an hour ago"]
    assert unsent(path) == ["long ago"]


def test_the_thread_sends_the_last_words_before_it_ends(path: Path) -> None:
    with Sink() as sink:
        sender = Notifier(path, [url(sink)], gap_secs=3600.0, wall_ms=lambda: NOW)
        sender.start()
        leave(path, "stopped")
        sender.stop()
        assert "stopped" in "\n".join(m["message"] for m in messages(sink))
    assert unsent(path) == []


def test_an_address_that_apprise_does_not_know_is_refused_without_its_secrets(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Notifier(path, ["carrier-pigeon://user:secret@loft"])
    assert "carrier-pigeon" in str(caught.value) and "secret" not in str(caught.value)
