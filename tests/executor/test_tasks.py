"""Tasks that are ended have ended."""

import asyncio

import executor.tasks as tasks_module
from executor.tasks import end


async def _for_ever() -> None:
    await asyncio.Event().wait()


def test_nothing_is_left_of_an_ended_task() -> None:
    async def whole() -> bool:
        task = asyncio.create_task(_for_ever())
        await asyncio.sleep(0)
        await end([task])
        return task.cancelled()

    assert asyncio.run(whole())


def test_a_cancellation_that_was_lost_is_said_again(monkeypatch) -> None:
    monkeypatch.setattr(tasks_module, "_AGAIN_SECS", 0.01)
    lost: list[str] = []

    async def loses() -> None:
        try:
            await _for_ever()
        except asyncio.CancelledError:
            lost.append("one")
        await _for_ever()

    async def whole() -> bool:
        task = asyncio.create_task(loses())
        await asyncio.sleep(0)
        await end([task])
        return task.cancelled()

    assert asyncio.run(whole())
    assert lost == ["one"]


def test_what_a_task_raised_or_returned_ends_it_as_well() -> None:
    async def fails() -> None:
        raise ValueError("it fails")

    async def whole() -> list[bool]:
        tasks = [asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(0))]
        await asyncio.sleep(0.01)
        await end(tasks)
        await end([])
        return [task.done() for task in tasks]

    assert asyncio.run(whole()) == [True, True]
