"""Where a model is asked: batches of what waits, deadlines, models that hang, fail or say what is no probability."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest

from toolkit.models.applying import Application
from toolkit.models.serve.desk import MAX_WAITING_ROWS, Desk, UnavailableError
from toolkit.models.trained import Trained
from toolkit.types import FloatArray

LONG, SHORT = 30.0, 0.05


class Asked:
    """A model that gives the first feature, by `work`, and remembers what it was asked."""

    def __init__(self, work: Callable[[FloatArray], FloatArray] = lambda x: x[:, 0]) -> None:
        self.work, self.batches = work, list[int]()

    def clean(self, x: FloatArray) -> FloatArray:
        return x

    def predict(self, x: FloatArray) -> FloatArray:
        self.batches.append(len(x))
        return self.work(x)

    def trained(self) -> Trained:
        model: object = self
        return Trained(("side",), np.zeros(1, np.int64), self, model, Application())  # type: ignore[arg-type]


def row(value: float) -> FloatArray:
    return np.array([[value]])


async def said(desk: Desk, *values: float, deadline: float = LONG) -> list[list[float]]:
    """What each of several that ask at once is answered."""
    return [a.tolist() for a in await asyncio.gather(*(desk.ask(row(v), deadline) for v in values))]


def test_each_is_given_the_answer_to_its_own_rows() -> None:
    desk = Desk("trend", Asked().trained())

    async def ask() -> list[FloatArray]:
        rows = [np.linspace(0.0, 1.0, n)[:, None] for n in (3, 1, 5, 2)]
        return list(await asyncio.gather(*(desk.ask(x, LONG) for x in rows)))

    answers = asyncio.run(ask())
    desk.close()
    for n, answer in zip((3, 1, 5, 2), answers, strict=True):
        assert answer.tobytes() == np.linspace(0.0, 1.0, n).tobytes()


def test_what_waits_while_the_model_works_is_one_batch() -> None:
    started, go = threading.Event(), threading.Event()

    def work(x: FloatArray) -> FloatArray:
        started.set()
        assert go.wait(LONG)
        return x[:, 0]

    asked = Asked(work)
    desk = Desk("trend", asked.trained())

    async def ask() -> list[list[float]]:
        first = asyncio.create_task(desk.ask(row(0.25), LONG))
        await asyncio.to_thread(started.wait)
        others = [asyncio.create_task(desk.ask(row(v), LONG)) for v in (0.5, 0.75, 1.0)]
        await asyncio.sleep(0)
        go.set()
        return [(await one).tolist() for one in [first, *others]]

    assert asyncio.run(ask()) == [[0.25], [0.5], [0.75], [1.0]]
    assert asked.batches == [1, 3]
    desk.close()


def test_a_model_that_hangs_is_out_of_time_and_then_busy_and_hurts_no_other() -> None:
    go = threading.Event()

    def work(x: FloatArray) -> FloatArray:
        go.wait()
        return x[:, 0]

    stuck, well = Desk("stuck", Asked(work).trained()), Desk("well", Asked().trained())

    async def ask() -> list[list[float]]:
        with pytest.raises(UnavailableError, match=r"stuck gave no answer within 0\.05 s"):
            await stuck.ask(row(0.5), SHORT)
        with pytest.raises(UnavailableError, match="stuck has been busy with an earlier question"):
            await stuck.ask(row(0.5), SHORT)
        others = await said(well, 0.5)
        go.set()
        # Once it goes on, it is asked again; what nobody waits for any more is not computed.
        while True:
            try:
                return others + await said(stuck, 0.75)
            except UnavailableError:
                await asyncio.sleep(0)

    assert asyncio.run(ask()) == [[0.5], [0.75]]


def test_too_many_that_wait_are_refused() -> None:
    go = threading.Event()

    def work(x: FloatArray) -> FloatArray:
        go.wait()
        return x[:, 0]

    desk = Desk("trend", Asked(work).trained())

    async def ask() -> None:
        many = asyncio.create_task(desk.ask(np.zeros((MAX_WAITING_ROWS, 1)), LONG))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="10,000 rows wait"):
            await desk.ask(row(0.5), LONG)
        go.set()
        assert len(await many) == MAX_WAITING_ROWS
        assert await said(desk, 0.5) == [[0.5]]

    asyncio.run(ask())


def fails(x: FloatArray) -> FloatArray:
    raise ValueError("no\nsuch leaf")


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (fails, "failed with ValueError: no such leaf"),
        (lambda x: x[:, 0] + 1.0, "no probabilities"),
        (lambda x: x[:, 0] - 1.0, "no probabilities"),
        (lambda x: x[:, 0] * np.inf, "no probabilities"),
        (lambda x: np.zeros(len(x) + 1), "no probabilities"),
        (lambda x: x, "no probabilities"),
    ],
)
def test_a_model_that_fails_says_so_and_is_asked_again(work: Callable[[FloatArray], FloatArray], expected: str) -> None:
    asked = Asked(work)
    desk = Desk("trend", asked.trained())

    async def ask() -> None:
        with pytest.raises(UnavailableError, match=expected):
            await desk.ask(row(0.5), LONG)
        asked.work = lambda x: x[:, 0]
        assert await said(desk, 0.5) == [[0.5]]

    asyncio.run(ask())
    desk.close()


def test_no_prediction_is_passed_on() -> None:
    answers = asyncio.run(said(Desk("trend", Asked(lambda x: np.full(len(x), np.nan)).trained()), 0.5))
    assert np.isnan(answers).all()
