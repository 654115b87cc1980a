"""How far a sweep is, in words."""

import io

import pytest

from toolkit.sweep.progress import Progress, clock


@pytest.mark.parametrize(
    ("secs", "text"), [(0.4, "0s"), (59.4, "59s"), (60, "1m 00s"), (185, "3m 05s"), (7620, "2h 07m")]
)
def test_clock(secs: float, text: str) -> None:
    assert clock(secs) == text


def test_line_tells_share_rate_and_time_left() -> None:
    progress = Progress(1000, done=200, shown=False)
    progress._lead = 300, 10.0
    progress.add(300)
    # 300 in 30 s, but 200 in the 20 s since the first piece: 500 more take 50 s.
    assert progress.line(30.0) == "500 of 1,000 combinations (50 %), 10 a second, 30s so far, 50s left"
    progress.add(500)
    assert progress.line(80.0) == "1,000 of 1,000 combinations (100 %), 10 a second, 1m 20s so far"
    assert Progress(10).line(0.0) == "0 of 10 combinations (0 %), 0 a second, 0s so far"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "begins"), [(io.StringIO(), "5 of 5"), (Terminal(), "\r5 of 5")])
def test_one_moving_line_on_a_terminal_and_plain_lines_elsewhere(stream: io.StringIO, begins: str) -> None:
    progress = Progress(5, stream=stream)
    progress.add(5)
    progress.close()
    assert stream.getvalue().startswith(begins)
    assert stream.getvalue().endswith("\n")


def test_silent_when_not_shown() -> None:
    stream = io.StringIO()
    progress = Progress(5, shown=False, stream=stream)
    progress.add(5)
    progress.close()
    assert stream.getvalue() == ""


def test_nothing_is_foretold_from_the_first_piece_which_waits_for_the_compiler() -> None:
    progress = Progress(1000, shown=False)
    progress.add(10)
    assert progress.line(20.0) == "10 of 1,000 combinations (1 %), 0 a second, 20s so far"
