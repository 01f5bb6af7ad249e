"""Ids are what they claim to be, and a seed replays them."""

import itertools
import random
import uuid

from forebay.core.ids import Ids


def test_uuids_are_version_4_and_never_the_same():
    ids = Ids()
    texts = [ids.uuid() for _ in range(2_000)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_uuids_use_every_free_bit():
    ids = Ids(seed=7)
    values = [uuid.UUID(ids.uuid()).int for _ in range(2_000)]
    ever_set, always_set = 0, (1 << 128) - 1
    for value in values:
        ever_set |= value
        always_set &= value
    assert (ever_set & ~always_set).bit_count() == 122


def test_uuids_are_those_of_the_same_random_bytes():
    ids, chance = Ids(seed=11), random.Random(11)
    for _ in range(2):
        block = chance.randbytes(4096)
        for start in range(0, len(block), 16):
            assert ids.uuid() == str(uuid.UUID(bytes=block[start : start + 16], version=4))


def test_a_seed_replays():
    first, second = Ids(seed=3), Ids(seed=3)
    assert [first.uuid() for _ in range(300)] == [second.uuid() for _ in range(300)]
    assert first.hex(9) == second.hex(9)
    assert first.uniform(0, 1) == second.uniform(0, 1)


def test_ids_of_events_end_alike_for_a_while():
    ids = Ids(seed=5)
    texts = [ids.event_id() for _ in range(10_240)]
    assert len(set(texts)) == len(texts)
    assert {uuid.UUID(text).version for text in texts} == {4}
    ends = [text[-3:] for text in texts]
    changes = sum(one != other for one, other in itertools.pairwise(ends))
    assert changes <= 9
    assert len(set(ends)) > 5
