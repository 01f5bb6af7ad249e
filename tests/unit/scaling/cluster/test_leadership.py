"""Of two nodes on one store, one runs the cluster, and the other takes over when it is gone."""

import asyncio

from forebay.core.clock import Clock
from forebay.scaling.cluster.leadership import Leadership, Led
from forebay.store.memory import MemoryStore


class Counted:
    name = "counted"

    def __init__(self) -> None:
        self.runs = 0

    async def run_once(self) -> float:
        self.runs += 1
        return float("inf")


def test_one_of_two_leads_until_its_lease_lapses() -> None:
    async def scenario() -> None:
        store, clock = MemoryStore(), Clock(1_800_000_000.0)
        first, second = (Leadership(store, clock, is_shared=True) for _ in range(2))
        changes: list[bool] = []
        second.on_change = lambda: changes.append(second.is_held)
        await first.run_once()
        await second.run_once()
        assert (first.is_held, second.is_held) == (True, False)
        for _ in range(4):
            clock.advance(5)
            await first.run_once()
            await second.run_once()
        assert (first.is_held, second.is_held) == (True, False)
        clock.advance(16)
        await second.run_once()
        assert second.is_held
        await first.run_once()
        assert not first.is_held
        assert changes == [True]
        await store.close()

    asyncio.run(scenario())


def test_a_worker_rests_where_another_node_leads() -> None:
    async def scenario() -> None:
        store, clock, worker = MemoryStore(), Clock(1_800_000_000.0), Counted()
        leadership = Leadership(store, clock, is_shared=True)
        led = Led(worker, leadership)
        assert await led.run_once() == 5.0
        assert worker.runs == 0
        await leadership.run_once()
        await led.run_once()
        assert worker.runs == 1
        alone = Leadership(store, clock, is_shared=False)
        assert alone.is_held
        await store.close()

    asyncio.run(scenario())
