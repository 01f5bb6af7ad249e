"""What each intrinsic function computes (developer guide, "Intrinsic functions for JSONPath states").

The sentences of failures are unverified: AWS documents the limits, not the words.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from forebay.core.ids import Ids
from forebay.languages.asl.document import byte_count, decode, encode
from forebay.languages.java_random import JavaRandom
from forebay.languages.json_kinds import is_array, is_object

# Limits that the developer guide states.
RANGE_ITEMS_MAX = 1_000
TEXT_CHARACTERS_MAX = 10_000
ARRAY_BYTES_MAX = 262_144

Function = Callable[[list[Any], Ids], object]


class FunctionFailure(Exception):
    """A function's arguments do not fit; says why."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A function and how many arguments it takes; `most` None: any number."""

    least: int
    most: int | None
    function: Function

    def takes(self, count: int) -> bool:
        """Return whether the function takes so many arguments."""
        return count >= self.least and (self.most is None or count <= self.most)

    def apply(self, values: list[Any], ids: Ids) -> object:
        """Return the result.

        Raises:
            FunctionFailure: the arguments do not fit.
        """
        return self.function(values, ids)


_PLACEHOLDER = re.compile(r"\\([{}\\])|(\{\})|([{}])")


def _text(value: object, what: str = "argument") -> str:
    if not isinstance(value, str):
        raise FunctionFailure(f"The {what} must be a string, but was: {encode(value)}")
    return value


def _array(value: object) -> list[Any]:
    if not is_array(value):
        raise FunctionFailure(f"The argument must be an array, but was: {encode(value)}")
    return value


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FunctionFailure(f"The argument must be a number, but was: {encode(value)}")
    return value


def _integer(value: object) -> int:
    number = _number(value)
    # "If you specify a non-integer value, Step Functions rounds it off to the nearest integer."
    return number if isinstance(number, int) else int(number + 0.5) if number >= 0 else -int(-number + 0.5)


def _within(text: str) -> str:
    if len(text) > TEXT_CHARACTERS_MAX:
        raise FunctionFailure(f"The argument must not be longer than {TEXT_CHARACTERS_MAX} characters")
    return text


def _format(values: list[Any], ids: Ids) -> object:
    del ids
    template, rest = _text(values[0], "template"), values[1:]
    used = iter(rest)
    made: list[str] = []
    at = count = 0
    for match in _PLACEHOLDER.finditer(template):
        made.append(template[at : match.start()])
        at = match.end()
        if match[1]:
            made.append(match[1])
        elif match[2]:
            count += 1
            value = next(used, None)
            made.append(value if isinstance(value, str) else encode(value))
        else:
            raise FunctionFailure("The template has an unmatched brace")
    if count != len(rest):
        raise FunctionFailure(
            f"The number of arguments ({len(rest)}) does not match the number of placeholders ({count})"
        )
    return "".join(made) + template[at:]


def _string_to_json(values: list[Any], ids: Ids) -> object:
    del ids
    text = _text(values[0])
    try:
        return decode(text)
    except ValueError:
        raise FunctionFailure(f"Invalid JSON: {text}") from None


def _partition(values: list[Any], ids: Ids) -> object:
    del ids
    array, size = _array(values[0]), _integer(values[1])
    if size <= 0:
        raise FunctionFailure("The chunk size must be a positive integer")
    return [array[at : at + size] for at in range(0, len(array), size)]


def _same(left: object, right: object) -> bool:
    return left == right and isinstance(left, bool) is isinstance(right, bool)


def _contains(values: list[Any], ids: Ids) -> object:
    del ids
    return any(_same(one, values[1]) for one in _array(values[0]))


def _range(values: list[Any], ids: Ids) -> object:
    del ids
    first, last, step = (_integer(value) for value in values)
    if step == 0:
        raise FunctionFailure("The increment must not be 0")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if len(numbers) > RANGE_ITEMS_MAX:
        raise FunctionFailure(f"The array must not have more than {RANGE_ITEMS_MAX} items")
    return list(numbers)


def _get_item(values: list[Any], ids: Ids) -> object:
    del ids
    array, index = _array(values[0]), _integer(values[1])
    if not 0 <= index < len(array):
        raise FunctionFailure(f"The index {index} is out of bounds for an array of length {len(array)}")
    return array[index]


def _unique(values: list[Any], ids: Ids) -> object:
    del ids
    seen: set[str] = set()
    unique: list[object] = []
    for one in _array(values[0]):
        mark = encode(one)
        if mark not in seen:
            seen.add(mark)
            unique.append(one)
    return unique


def _base64_encode(values: list[Any], ids: Ids) -> object:
    del ids
    return base64.b64encode(_within(_text(values[0])).encode()).decode()


def _base64_decode(values: list[Any], ids: Ids) -> object:
    del ids
    text = _within(_text(values[0]))
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise FunctionFailure(f"Invalid Base64 string: {text}") from None


_HASHES = {
    "MD5": hashlib.md5,
    "SHA-1": hashlib.sha1,
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}


def _hash(values: list[Any], ids: Ids) -> object:
    del ids
    data = values[0] if isinstance(values[0], str) else encode(values[0])
    make = _HASHES.get(_text(values[1], "algorithm"))
    if make is None:
        raise FunctionFailure(f"Unsupported hash algorithm: {values[1]}")
    return make(_within(data).encode()).hexdigest()


def _merge(values: list[Any], ids: Ids) -> object:
    del ids
    first, second, is_deep = values
    for one in (first, second):
        if not is_object(one):
            raise FunctionFailure(f"The argument must be a JSON object, but was: {encode(one)}")
    if is_deep is not False:
        # "Currently, Step Functions only supports the shallow merging mode."
        raise FunctionFailure("The deep merging mode is not supported; the third argument must be false")
    return {**first, **second}


def _random(values: list[Any], ids: Ids) -> object:
    first, last = _integer(values[0]), _integer(values[1])
    if last <= first:
        raise FunctionFailure("The end number must be larger than the start number")
    if len(values) > 2:
        return first + JavaRandom(_integer(values[2])).below(last - first)
    return first + int(ids.uniform(0, last - first)) % (last - first)


def _add(values: list[Any], ids: Ids) -> object:
    del ids
    return _integer(values[0]) + _integer(values[1])


def _split(values: list[Any], ids: Ids) -> object:
    del ids
    text, delimiters = _text(values[0]), _text(values[1], "delimiter")
    if not delimiters:
        return [text]
    # Each character of the second argument separates; empty pieces fall away.
    return [piece for piece in re.split("[" + re.escape(delimiters) + "]", text) if piece]


def _make_array(values: list[Any], ids: Ids) -> object:
    del ids
    if sum(byte_count(encode(value)) for value in values) > ARRAY_BYTES_MAX:
        raise FunctionFailure("The array must not exceed 256 KiB")
    return list(values)


FUNCTIONS: dict[str, Signature] = {
    "Array": Signature(0, None, _make_array),
    "ArrayPartition": Signature(2, 2, _partition),
    "ArrayContains": Signature(2, 2, _contains),
    "ArrayRange": Signature(3, 3, _range),
    "ArrayGetItem": Signature(2, 2, _get_item),
    "ArrayLength": Signature(1, 1, lambda values, _: len(_array(values[0]))),
    "ArrayUnique": Signature(1, 1, _unique),
    "Base64Encode": Signature(1, 1, _base64_encode),
    "Base64Decode": Signature(1, 1, _base64_decode),
    "Hash": Signature(2, 2, _hash),
    "JsonMerge": Signature(3, 3, _merge),
    "JsonToString": Signature(1, 1, lambda values, _: encode(values[0])),
    "StringToJson": Signature(1, 1, _string_to_json),
    "MathRandom": Signature(2, 3, _random),
    "MathAdd": Signature(2, 2, _add),
    "StringSplit": Signature(2, 2, _split),
    "UUID": Signature(0, 0, lambda _, ids: ids.uuid()),
    "Format": Signature(1, None, _format),
}
