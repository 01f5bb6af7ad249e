"""The rules of a message: characters, sizes, attributes, digests, and what a receiver asks for."""

import pytest

from forebay.api import sqs as api
from forebay.core.errors import ServiceError
from forebay.services.sqs import message as rules
from forebay.services.sqs.message import Attribute, Envelope
from forebay.store.commands import ReceivedMessage


def value(data_type="String", text=None, data=None, **more):
    return api.MessageAttributeValue(data_type=data_type, string_value=text, binary_value=data, **more)


@pytest.mark.parametrize(
    ("attributes", "digest"),
    [
        ({"timestamp": Attribute("Number", "1493147359900")}, "235c5c510d26fb653d073faed50ae77c"),
        ({"piyo": Attribute("String", "")}, "4166cc16b73099be3abe8e2b0f544c99"),
    ],
)
def test_attributes_digest_is_aws_own(attributes, digest):
    assert rules.attributes_digest(attributes) == digest


def test_attributes_digest_does_not_depend_on_order():
    one, two = Attribute("String", "1"), Attribute("Binary.png", None, b"\x00\xff")
    assert rules.attributes_digest({"a": one, "b": two}) == rules.attributes_digest({"b": two, "a": one})


def test_attributes_digest_tells_text_from_bytes():
    assert rules.attributes_digest({"a": Attribute("X", "1")}) != rules.attributes_digest(
        {"a": Attribute("X", None, b"1")}
    )


@pytest.mark.parametrize("body", ["a", "\t\n\r", "\x7f", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "é" * 10])
def test_check_body_takes_what_xml_allows(body):
    assert rules.check_body(body) == body.encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [("a\x00", "#x0"), ("\x0b", "#xB"), ("\x1f", "#x1F"), ("é\ufffe", "#xFFFE"), ("\uffff", "#xFFFF")],
)
def test_check_body_names_the_illegal_character(body, code):
    with pytest.raises(api.InvalidMessageContents) as failure:
        rules.check_body(body)
    assert failure.value.message == (
        f"Invalid binary character '{code}' was found in the message body, the set of allowed characters is "
        "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]."
    )


def test_check_body_refuses_a_lone_surrogate():
    with pytest.raises(api.InvalidMessageContents, match="#xD800"):
        rules.check_body("a\ud800")


def test_every_character_is_judged_as_the_standard_says():
    for code in [*range(0x250), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010), *range(0xFFF0, 0x10010), 0x10FFFF]:
        allowed = code in {9, 10, 13} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
        assert rules.is_legal(f"a{chr(code)}b".encode()) is allowed, hex(code)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {f"a{n}": value(text="x") for n in range(11)},
            "Number of message attributes [11] exceeds the allowed maximum [10].",
        ),
        ({"": value(text="x")}, "The request must contain non-empty message (user) attribute names."),
        ({"a" * 257: value(text="x")}, "Message (user) attribute names must be shorter than 256 Bytes"),
        (
            {"a b": value(text="x")},
            (
                "Message (user) attributes name can only contain upper and lower score characters, "
                "digits, periods, hyphens and underscores. "
            ),
        ),
        (
            {"aWs.x": value(text="x")},
            (
                "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. "
                "These strings are reserved for internal use."
            ),
        ),
        ({"a..b": value(text="x")}, "Message (user) attributes names cannot start or end with a '.' or contain '..'."),
        ({"a": value("", "x")}, "Message (user) attribute 'a' must contain a non-empty attribute type."),
        (
            {"a": value("string", "x")},
            (
                "The type of message (user) attribute 'a' is invalid. "
                "You must use only the following supported type prefixes: Binary, Number, String."
            ),
        ),
        ({"a": value("Number", "x1")}, "Can't cast the value of message (user) attribute 'a' to a number."),
        ({"a": value("String", "")}, "Message (user) attribute 'a' must contain a non-empty value of type 'String'."),
        (
            {"a": value("Binary.x")},
            "Message (user) attribute 'a' must contain a non-empty value of type 'Binary'.",
        ),
        (
            {"a": value("String", None, b"x")},
            "The message (user) attribute 'a' with type 'String' must use field 'String'.",
        ),
    ],
)
def test_parse_attributes_refuses_in_aws_words(given, text):
    with pytest.raises(ServiceError) as failure:
        rules.parse_attributes(given)
    assert failure.value.message == text
    assert failure.value.query_code == "InvalidParameterValue"


def test_parse_attributes_refuses_lists():
    with pytest.raises(api.UnsupportedOperation, match="list values"):
        rules.parse_attributes({"a": value("String", string_list_values=["x"])})


@pytest.mark.parametrize("number", ["0", "-1", "+1.5", ".5", "1.", "1e10", "-1.5E-7"])
def test_numbers_may_be_written_in_many_ways(number):
    assert rules.parse_attributes({"n": value("Number.int", number)}) == {"n": Attribute("Number.int", number)}


def test_attributes_size_counts_name_type_and_value():
    attributes = {"ab": Attribute("String", "é"), "c": Attribute("Binary", None, b"123")}
    assert rules.attributes_size(attributes) == 2 + 6 + 2 + 1 + 6 + 3


@pytest.mark.parametrize("group", ["", "a b", "é", "a" * 129])
def test_check_group_refuses(group):
    with pytest.raises(ServiceError, match="MessageGroupId can only include alphanumeric and punctuation"):
        rules.check_group(group)


def test_system_attributes_know_the_trace_header_only():
    with pytest.raises(ServiceError, match="Message system attribute name 'X' is invalid"):
        rules.parse_system_attributes({"X": api.MessageSystemAttributeValue(data_type="String", string_value="a")})
    with pytest.raises(ServiceError, match="supported type prefixes: String"):
        rules.parse_system_attributes(
            {"AWSTraceHeader": api.MessageSystemAttributeValue(data_type="Number", string_value="1")}
        )


def received(**changes):
    base = {
        "position": 1,
        "message_id": "id",
        "body": "b",
        "attributes": b"",
        "sent_at_ms": 1000,
        "visible_at_ms": 0,
        "expires_at_ms": 0,
        "first_received_at_ms": 2000,
        "receive_count": 3,
    }
    return ReceivedMessage(**(base | changes))


def test_all_shows_every_system_attribute_that_is_there():
    asked = rules.parse_asked(["All"], None)
    shown = rules.system_attributes(received(group="g"), Envelope("me", "Root=1"), "arn:x", asked)
    assert shown == {
        "SenderId": "me",
        "SentTimestamp": "1000",
        "ApproximateReceiveCount": "3",
        "ApproximateFirstReceiveTimestamp": "2000",
        "AWSTraceHeader": "Root=1",
        "DeadLetterQueueSourceArn": "arn:x",
        "MessageGroupId": "g",
    }


def test_only_the_named_system_attributes_are_shown():
    asked = rules.parse_asked(["SenderId", "AWSTraceHeader"], None)
    assert rules.system_attributes(received(), Envelope("me"), None, asked) == {"SenderId": "me"}


def test_unknown_system_attribute_is_refused():
    with pytest.raises(api.InvalidAttributeName, match=r"Unknown Attribute Nope\."):
        rules.parse_asked(["Nope"], None)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["All"], {"foo", "foo.a", "bar"}),
        ([".*"], {"foo", "foo.a", "bar"}),
        (["foo.*"], {"foo", "foo.a"}),
        (["bar", "baz"], {"bar"}),
        (["x.*"], set()),
        (None, set()),
    ],
)
def test_message_attributes_are_chosen_by_name_and_wildcard(names, shown):
    envelope = Envelope("me", None, {name: Attribute("String", "x") for name in ("foo", "foo.a", "bar")})
    assert rules.wanted_attributes(envelope, rules.parse_asked(["All"], names)).keys() == shown


def test_envelope_survives_encoding():
    envelope = Envelope("me", "Root=1", {"a": Attribute("String", "é"), "b": Attribute("Binary", None, b"\x00")})
    assert rules.decode_envelope(rules.encode_envelope(envelope)) == envelope


def test_sender_id_is_the_account_for_its_root_and_stable_for_others():
    user = "arn:aws:iam::123456789012:user/bob"
    assert rules.sender_id("arn:aws:iam::123456789012:root", "123456789012") == "123456789012"
    assert rules.sender_id(user, "123456789012") == rules.sender_id(user, "123456789012")
    assert rules.sender_id(user, "123456789012").startswith("AIDA")
    assert rules.sender_id("arn:aws:sts::1:assumed-role/r/s", "1").endswith(":s")
