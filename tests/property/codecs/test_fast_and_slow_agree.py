"""What msgspec takes, the slow reader takes to the same structure; what it refuses for constraints, both refuse."""

import random

import msgspec
import pytest

from forebay.core.convert import read_shape
from forebay.core.errors import ServiceError
from tests.property.codecs.oracle import MODULES, request_for, side
from tests.property.codecs.test_hostile_input import damaged
from tests.property.codecs.values import Unfit, Values

JSON_SERVICES = [name for name in MODULES if "json" in side(name, "json").ours.protocols]


@pytest.mark.parametrize("service", JSON_SERVICES)
def test_fast_and_slow_agree(service: str) -> None:
    chance = random.Random(7)
    side_ = side(service, "json")
    for name in side_.theirs.operation_names:
        operation, ours = side_.theirs.operation_model(name), side_.ours.operations[name]
        try:
            body = request_for(side_, operation, Values(chance.randrange(999)).for_input(operation)).body
        except Unfit:
            continue
        decoder = msgspec.json.Decoder(ours.input)
        for _ in range(20):
            agree(decoder, ours.input, body)
            body = damaged(chance, body)


def agree(decoder, type_, body: bytes) -> None:
    try:
        raw = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return
    try:
        slow = read_shape(type_, raw)
    except ServiceError:
        with pytest.raises((ValueError, RecursionError)):
            decoder.decode(body)
        return
    try:
        fast = decoder.decode(body)
    except ValueError:
        # The slow reader is the kinder one: it takes 1.0 for 1, and a timestamp in words.
        return
    assert fast == slow
