"""Preset rates: who waits for whom, and for how long."""

from msgspec.structs import replace

from forebay.delivery.contract import Delivered, Throttle
from tests.unit.delivery.test_outbox import Bench, Outside, run


def test_rate_spaces_deliveries_and_counts_no_attempt():
    async def test():
        outside = Outside(Delivered())
        bench = Bench(http=outside)
        for number in range(3):
            await bench.send("http", delivery_id=f"d{number}", throttle=Throttle(per_second=0.5))
        for expected in (1, 1, 2, 2, 3):
            await bench.dispatch()
            assert len(outside.seen) == expected
            bench.clock.advance(1.0)
        assert [delivery.attempts for delivery in outside.seen] == [1, 1, 1]

    run(test)


def test_throttled_delivery_to_the_store_waits_for_its_turn():
    async def test():
        bench = Bench()
        for number in range(2):
            await bench.send("box", delivery_id=f"d{number}", throttle=Throttle(per_second=1))
        assert len(await bench.box("t")) == 0
        await bench.dispatch()
        assert len(await bench.box("t")) == 1
        bench.clock.advance(1.0)
        await bench.dispatch()
        assert len(await bench.box("t")) == 2
        assert await bench.pending() == 0

    run(test)


def test_concurrency_holds_others_back_until_one_is_done():
    async def test():
        outside = Outside(Delivered())
        outside.may_finish.clear()
        bench = Bench(http=outside)
        for number in range(2):
            await bench.send("http", delivery_id=f"d{number}", throttle=Throttle(concurrency=1))
        await bench.dispatcher.run_once()
        await outside.entered.wait()
        bench.clock.advance(1.0)
        await bench.dispatcher.run_once()
        assert len(outside.seen) == 1
        outside.may_finish.set()
        for _ in range(3):
            await bench.dispatch()
            bench.clock.advance(1.0)
        assert len(outside.seen) == 2

    run(test)


def test_senders_do_not_share_a_rate():
    async def test():
        outside = Outside(Delivered())
        bench = Bench(http=outside)
        first = await bench.send("http", delivery_id="d1", throttle=Throttle(per_second=0.1))
        other = replace(first, delivery_id="d2", source=f"{first.source}2")
        await bench.store.submit(await bench.deliveries.commands_for([other]))
        await bench.dispatch()
        assert len(outside.seen) == 2

    run(test)
