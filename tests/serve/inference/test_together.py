"""Jobs side by side: all or none."""

import asyncio

import pytest

from serve.inference.together import together


def test_once_a_job_fails_the_others_are_cancelled():
    async def story():
        never, cancelled = asyncio.Event(), []

        async def waits(name):
            try:
                await never.wait()
            except asyncio.CancelledError:
                cancelled.append(name)
                raise

        async def fails():
            await asyncio.sleep(0)
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await together([waits(1), fails(), waits(2)])
        await asyncio.sleep(0)
        assert cancelled == [1, 2]
        assert len(asyncio.all_tasks()) == 1, "nothing must go on"

    asyncio.run(story())


def test_results_come_in_the_order_of_the_jobs():
    async def after(turns, value):
        for _ in range(turns):
            await asyncio.sleep(0)
        return value

    assert asyncio.run(together([after(3, "a"), after(1, "b"), after(2, "c")])) == ["a", "b", "c"]
