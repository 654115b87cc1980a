"""Moments as people write them: what is read, and what is refused."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from tests.bars.minutes import START_MS
from toolkit.bars.moments import Moment, check_range, to_ms
from toolkit.errors import InputError


def test_dates_are_midnight_utc() -> None:
    assert to_ms(date(2022, 1, 3), "start") == to_ms("2022-01-03", "start") == START_MS


@pytest.mark.parametrize(
    "moment",
    [
        START_MS,
        np.int64(START_MS),
        f" {START_MS} ",
        "20220103",
        "2022-01-03T01:00+01:00",
        datetime(2022, 1, 3),
        datetime(2022, 1, 2, 19, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_one_moment_in_its_forms(moment: Moment) -> None:
    assert to_ms(moment, "start") == START_MS


def test_the_calendar_ends() -> None:
    assert to_ms("9999-12-31T23:59:59.999", "end") == to_ms(253_402_300_799_999, "end")
    assert to_ms("0001-01-01", "start") == -62_135_596_800_000
    assert to_ms("1969-12-31T23:59:59.999", "start") == -1


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        # Epoch seconds, a date without its quotes, and what else is no moment of a market in milliseconds.
        ("1640995200", "was 1640995200: too small"),
        (1_640_995_200, "was 1640995200: too small"),
        (20_220_308, "was 20220308: too small"),
        (np.int64(5), "was 5: too small"),
        (-START_MS, f"was -{START_MS}: too small"),
        # Epoch microseconds, and numbers of any length.
        (START_MS * 1000, f"was {START_MS}000: too large"),
        ("99999999999999999999", "was 99999999999999999999: too large"),
        ("9" * 5000, "was 9+: too large"),
        ("tomorrow", "was 'tomorrow'"),
        ("\u00b2" * 9, "was '"),
        (1.5, r"was 1\.5"),
        (True, "was True"),
    ],
)
def test_what_is_no_moment_is_told_both_forms(moment: Moment, reason: str) -> None:
    with pytest.raises(
        InputError, match=rf"^--start must be an ISO date .* or epoch milliseconds, .*{reason}"
    ) as error:
        to_ms(moment, "--start")
    assert len(str(error.value)) < 300


def test_a_zone_does_not_lead_out_of_the_calendar() -> None:
    with pytest.raises(InputError, match=r"start must be in the years 1 to 9999 UTC, was 0001-01-01T00:00:00\+14:00"):
        to_ms("0001-01-01T00:00+14:00", "start")


def test_a_range_begins_before_it_ends() -> None:
    for start, end in ((None, None), (1, None), (None, 1), (1, 2)):
        check_range(start, end)
    with pytest.raises(InputError, match="start must be before end, was 2022-01-03 00:00 and end 2022-01-03 00:00"):
        check_range(START_MS, START_MS)
    assert to_ms(datetime(2022, 1, 3, tzinfo=UTC), "start") == START_MS
