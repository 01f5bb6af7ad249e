"""JSONata as Step Functions evaluates it: the language's own functions, plus AWS's, minus `$eval`, within bounds.

The engine is jlens (docs/decisions says why). This module adds what Step Functions adds (developer guide,
"Transforming data with JSONata in Step Functions"), gives an expression only the bindings it reads, so that one that
wants one member of a large input costs one member, and holds every evaluation to a time, so that no expression holds a
node up.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from forebay.core.ids import Ids
from forebay.languages.java_random import JavaRandom
from forebay.languages.json_kinds import is_array, is_object

# Loaded with the first expression: most nodes never see one.
if TYPE_CHECKING:
    import jlens

TIMEOUT_SECONDS = 1.0
# As measured on AWS: the longest range and text that it makes, and how deep expressions may nest.
ARRAY_ITEMS_MAX = 873_782
STRING_BYTES_MAX = 4 * 1024 * 1024
DEPTH_MAX = 100
# Far more than any payload may have.
RESULT_BYTES_MAX = 4 * 1024 * 1024

# What AWS says where an expression goes beyond its bounds, by the engine's codes; there is no code in it. That of time
# is unverified.
_BEYOND = {
    "D1011": "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive",
    "D1012": "Expression evaluation timeout: Check for infinite loop",
    "U1001": "Expression evaluation memory limit exceeded: Check for excessive memory usage",
}

# Messages in which the engine writes whole numbers as 7.0; the reference implementation writes 7.
_NUMBER_IN_MESSAGE = ("D2014", "D2016", "D3061", "S0213")
_STARTS_AT_CONTEXT = re.compile(r"\s*\$(?![\w$])")
_WHOLE_FLOAT = re.compile(r"(?<![\w.])(-?[0-9]+)\.0(?![0-9])")

_HASHES = {
    "MD5": hashlib.md5,
    "SHA-1": hashlib.sha1,
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}


class Unbound(Enum):
    """Says that a binding does not exist; unlike null, which is a value."""

    UNBOUND = "unbound"


UNBOUND = Unbound.UNBOUND


class JsonataError(Exception):
    """An expression does not parse or does not evaluate; `code` is JSONata's own, where it has one."""

    def __init__(self, code: str | None, message: str) -> None:
        super().__init__(message if code is None else f"{code}: {message}")
        self.code = code
        self.message = message


class _Refused(ValueError):
    """One of AWS's functions got what it does not take."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `reads` names the bindings it needs: all of one (True), or members of it. `context` names what it reads of the
    context, of which there is none: fields, `$` or `$$`, in the order of the text.
    """

    text: str
    reads: Mapping[str, Any]
    context: tuple[str, ...]
    _compiled: "jlens.Expression"

    def evaluate(self, bindings: Callable[[str], object], ids: Ids, now: float) -> str | None:
        """Return the result as JSON, or None where it is undefined.

        `bindings` gives the value of a binding, or UNBOUND for one that does not exist.

        Raises:
            JsonataError: the evaluation failed or took too long.
        """
        import jlens  # noqa: PLC0415  # see above

        values: dict[str, object] = {"eval": None}
        for name, read in self.reads.items():
            value = _functions(ids)[name] if name in FUNCTIONS else bindings(name)
            if value is not UNBOUND:
                values[name] = pick(value, read)
        try:
            return self._compiled.evaluate_json(
                None,
                values,
                timeout=TIMEOUT_SECONDS,
                max_depth=DEPTH_MAX,
                max_array_length=ARRAY_ITEMS_MAX,
                max_string_length=STRING_BYTES_MAX,
                max_result_size=RESULT_BYTES_MAX,
                now=int(now * 1000),
            )
        except jlens.JlensError as error:
            raise _told(error) from None
        except _Refused as error:
            raise JsonataError(None, str(error)) from None
        except (ValueError, TypeError, OverflowError) as error:
            # AWS's functions with arguments of other kinds; what the engine cannot convert.
            raise JsonataError(None, str(error)) from None


def compile_jsonata(text: str) -> Expression:
    """Compile an expression.

    Raises:
        JsonataError: it does not parse.
    """
    import jlens  # noqa: PLC0415  # see above

    try:
        compiled = jlens.Expression(text)
        read = compiled.reads()
        reads = dict(read.get("bindings", {}))
        if "$random" in text:
            # The language has one without a seed, which is not reported as read.
            reads["random"] = True
        return Expression(text, reads, _context_of(text, read.get("input")), compiled)
    except jlens.JlensError as error:
        raise _told(error) from None
    except UnicodeEncodeError as error:
        raise JsonataError(None, str(error)) from None


def _context_of(text: str, read: object) -> tuple[str, ...]:
    """Return what an expression reads of the context."""
    if "$$" in text and read:
        return ("$$",)
    if _STARTS_AT_CONTEXT.match(text):
        return ("$",)
    # Wildcards read all of it; whether AWS refuses them there is not known.
    return tuple(sorted(read, key=text.find)) if is_object(read) else ()


def _told(error: "jlens.JlensError") -> JsonataError:
    if error.code in _BEYOND:
        return JsonataError(None, _BEYOND[error.code])
    message = str(error)
    if error.code in _NUMBER_IN_MESSAGE:
        message = _WHOLE_FLOAT.sub(r"\1", message)
    return JsonataError(error.code, message)


def pick(value: object, read: object) -> object:
    """Return a value cut down to the members that are read; arrays are kept whole."""
    if not is_object(read) or not is_object(value):
        return value
    return {name: pick(value[name], inner) for name, inner in read.items() if name in value}


def _functions(ids: Ids) -> Mapping[str, Callable[..., object]]:
    return {
        "partition": partition,
        "range": number_range,
        "hash": digest,
        "random": lambda *seed: random_number(ids, *seed),
        "uuid": ids.uuid,
        "parse": parse,
    }


FUNCTIONS = ("partition", "range", "hash", "random", "uuid", "parse")


def _whole(value: object, what: str) -> int:
    """Return a number without its fraction, which AWS's functions leave out."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Refused(f"{what} must be a number")
    return int(value)


def partition(array: object, size: object) -> object:
    """Return an array in pieces of a size, the last maybe shorter; undefined where there is no array or no size."""
    length = 0 if array is None else _whole(size, "The partition size")
    if length < 0:
        raise _Refused("The partition size must be a positive integer")
    if length == 0:
        return None
    items = array if is_array(array) else [array]
    return [items[at : at + length] for at in range(0, len(items), length)]


def number_range(first: object, last: object, step: object) -> object:
    """Return the numbers from the first up to and including the last, a step apart; undefined for a step of 0."""
    start, stop, delta = (_whole(one, "An argument of $range") for one in (first, last, step))
    if delta == 0:
        return None
    made = range(start, stop + (1 if delta > 0 else -1), delta)
    if len(made) > ARRAY_ITEMS_MAX:
        raise _Refused(_BEYOND["U1001"])
    return list(made)


def digest(data: object, algorithm: object) -> str:
    """Return the hash of a text in hexadecimal."""
    if not isinstance(data, str):
        raise _Refused("The data to hash must be a string")
    make = _HASHES.get(algorithm) if isinstance(algorithm, str) else None
    if make is None:
        raise _Refused(f"Unsupported hash algorithm: {algorithm}. Supported are {', '.join(_HASHES)}")
    return make(data.encode()).hexdigest()


def random_number(ids: Ids, seed: object = None) -> float:
    """Return a number from 0 up to 1; the same for the same seed."""
    if seed is None:
        return ids.uniform(0, 1)
    return JavaRandom(_whole(seed, "The seed")).double()


def parse(text: object) -> object:
    """Return the value of a JSON text."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise _Refused("The argument of $parse must be a string")
    try:
        return json.loads(text)
    except ValueError:
        raise _Refused(f"The argument of $parse is not valid JSON: {text}") from None
