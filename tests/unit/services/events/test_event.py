import json

import pytest

from forebay.api import events as api
from forebay.services.events.event import (
    Origin,
    check_entry,
    entry_size,
    format_time,
    forwarded_event,
    new_event,
    read_detail,
    scheduled_event,
)

ORIGIN = Origin("id-1", "111122223333", "eu-central-1")


def entry(**members):
    given = {"source": "shop", "detail_type": "Order", "detail": "{}", **members}
    return api.PutEventsRequestEntry(**given)


@pytest.mark.parametrize(
    ("members", "size"),
    [
        ({}, 4 + 5 + 2),
        ({"time": 1.0}, 4 + 5 + 2 + 14),
        ({"detail": '{"a":"ä"}'}, 4 + 5 + 10),
        ({"resources": ["abc", "é"]}, 4 + 5 + 2 + 3 + 2),
        ({"source": None, "detail": None}, 5),
    ],
)
def test_size_is_counted_as_documented(members, size):
    assert entry_size(entry(**members)) == size


@pytest.mark.parametrize("name", ["source", "detail_type", "detail"])
@pytest.mark.parametrize("value", [None, ""])
def test_required_members_are_required(name, value):
    failure = check_entry(entry(**{name: value}))
    word = {"source": "Source", "detail_type": "DetailType", "detail": "Detail"}[name]
    assert failure is not None
    assert failure.code == "InvalidArgument"
    assert failure.message == f"Parameter {word} is not valid. Reason: {word} is a required argument."


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "null", '{"a":1', '{"a":1} x', '{"a":1e999}', '{"a":"\ud800"}', "[" * 9_999]
)
def test_detail_that_is_no_object_is_told(text):
    assert read_detail(text) is None


@pytest.mark.parametrize("number", ["1e3", "0.10", "12345678901234567890123", "-0"])
def test_numbers_go_on_as_they_were_written(number):
    text = f'{{ "n" : {number} }}'
    detail = read_detail(text)
    assert detail is not None
    event = new_event(entry(detail=text), detail, ORIGIN, 0.0)
    assert event.text.endswith(f'"detail":{{"n":{number}}}}}')


def test_document_is_the_text_decoded():
    text = '{"kind": "auto", "names": ["ä", "\\n"]}'
    detail = read_detail(text)
    assert detail is not None
    event = new_event(entry(detail=text, resources=["r"], time=86_400.9), detail, ORIGIN, 5.0)
    assert json.loads(event.text) == event.document
    assert list(event.document) == [
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    ]  # fmt: skip
    assert event.document["time"] == "1970-01-02T00:00:00Z"
    assert event.at == 5.0


def test_scheduled_event_is_its_rules():
    arn = "arn:aws:events:eu-west-1:111122223333:rule/tick"
    event = scheduled_event(arn, "id-1", 60.0, 61.0)
    assert json.loads(event.text) == event.document
    assert (event.document["region"], event.document["resources"]) == ("eu-west-1", [arn])


def test_forwarded_event_stays_as_it_is():
    text = '{"id":"1","detail":{}}'
    event = forwarded_event(text, 1.0, None)
    assert event is not None
    assert (event.event_id, event.text, event.is_forwarded) == ("1", text, True)
    assert forwarded_event('{"no":"id"}', 1.0, None) is None
    assert forwarded_event("[]", 1.0, None) is None


@pytest.mark.parametrize(
    ("at", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_800_057_600.999, "2027-01-16T00:00:00Z"), (-1, "1969-12-31T23:59:59Z")],
)
def test_time_is_written_to_the_second(at, text):
    assert format_time(at) == text
