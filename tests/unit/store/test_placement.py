"""Which database holds what: even, stable, and moving only to a database that is added."""

from collections import Counter

import pytest

from forebay.store.commands import AppendLog, ExpireLog, LogEntry, NextTimer, PurgeQueue
from forebay.store.items import MeasureItems
from forebay.store.spread.placement import EVERYWHERE, HOME, Placement

NUMBERS = range(1, 10_001)


def test_queues_are_spread_evenly():
    placement = Placement(4)
    counted = Counter(placement.of_resource(number) for number in NUMBERS)
    assert sorted(counted) == [0, 1, 2, 3]
    assert max(counted.values()) < 1.1 * min(counted.values())


def test_place_of_a_queue_never_changes():
    # What stands in databases was put there by this function: these are the places of the first release.
    assert [Placement(3).of_resource(number) for number in range(1, 11)] == [0, 1, 0, 1, 2, 2, 0, 2, 2, 1]


def test_another_database_takes_and_nothing_else_moves():
    few, more = Placement(3), Placement(4)
    moved = {(few.of_resource(number), more.of_resource(number)) for number in NUMBERS}
    assert {to for before, to in moved if to != before} == {3}


@pytest.mark.parametrize("command", [NextTimer("kind"), MeasureItems(1), AppendLog("dynamodb/1", (LogEntry(0, b""),))])
def test_what_hangs_together_is_at_home(command):
    assert Placement(64).of(command) == HOME


def test_commands_go_where_their_resource_is():
    placement = Placement(8)
    assert placement.of(PurgeQueue(7)) == placement.of_resource(7) == placement.of_topic(("queue", 7))
    assert placement.of(AppendLog("logs/a", ())) == placement.of_topic(("log", "logs/a"))
    assert placement.of_topic(("timers", "logs/a")) == HOME
    assert placement.of(ExpireLog(0, 1)) == EVERYWHERE
