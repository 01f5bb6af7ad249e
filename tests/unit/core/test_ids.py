"""Ids are what they claim to be, and a seed replays them."""

import random
import uuid

from forebay.core.ids import Ids


def test_uuid_is_the_one_that_the_standard_library_makes_of_the_same_bits():
    ids, bits = Ids(7), random.Random(7)
    for _ in range(1000):
        assert ids.uuid() == str(uuid.UUID(int=bits.getrandbits(128), version=4))
