"""Receipt handles: what is put in comes out, and nothing else is taken for one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.api import sqs as api
from forebay.services.sqs.receipt import Handle, find_handle, format_handle, parse_handle
from forebay.store.commands import Receipt

numbers = st.integers(min_value=0, max_value=2**63 - 1)


@given(numbers, numbers, st.integers(min_value=0, max_value=2**32 - 1), numbers)
def test_handle_gives_back_what_it_was_made_of(queue, position, count, at):
    text = format_handle(queue, position, count, at)
    assert find_handle(text) == Handle(queue, Receipt(position, count), at)


@given(st.text(max_size=80))
def test_other_text_is_no_handle(text):
    assert find_handle(text) is None


@given(st.integers(min_value=0, max_value=35), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_noticed(index, difference):
    data = bytearray(base64.b64decode(format_handle(1, 2, 3, 4)))
    data[index] ^= difference
    assert find_handle(base64.b64encode(data).decode()) is None


def test_parse_handle_has_a_text_for_garbage_and_one_for_other_queues():
    with pytest.raises(api.ReceiptHandleIsInvalid) as garbage:
        parse_handle("x y", 1)
    assert garbage.value.message == 'The input receipt handle "x y" is not a valid receipt handle.'
    text = format_handle(2, 1, 1, 1)
    with pytest.raises(api.ReceiptHandleIsInvalid) as foreign:
        parse_handle(text, 1)
    assert foreign.value.message == f'The receipt handle "{text}" is not valid for this queue.'
