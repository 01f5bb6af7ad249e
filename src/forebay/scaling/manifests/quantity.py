"""Kubernetes' quantities (`500m`, `1Gi`, `2e3`) and Go's durations (`1h30m`), read into plain numbers.

Sums are made in whole numbers: milli-units for CPU and metrics, bytes for memory, so that no rounding makes a pod fit.
Source: apimachinery's `resource.Quantity` ("The serialization format is") and Go's `time.ParseDuration`.
"""

import math
import re
from decimal import Decimal, InvalidOperation

from forebay.scaling.manifests.problem import InvalidManifest

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?")
_SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(1 << 10), "Mi": Decimal(1 << 20), "Gi": Decimal(1 << 30),
    "Ti": Decimal(1 << 40), "Pi": Decimal(1 << 50), "Ei": Decimal(1 << 60),
}  # fmt: skip
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_quantity(value: str | float) -> Decimal:
    """Read a quantity exactly.

    Raises:
        InvalidManifest: the text is none, in Kubernetes' words.
    """
    match = _QUANTITY.fullmatch(str(value).strip())
    if match is None:
        raise InvalidManifest(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = match[1], match[2] or ""
    try:
        if suffix in _SUFFIXES:
            return Decimal(number) * _SUFFIXES[suffix]
        return Decimal(number + suffix)
    except InvalidOperation:
        raise InvalidManifest(f"unable to parse quantity's suffix: {value}") from None


def parse_milli(value: str | float) -> int:
    """Read a quantity in milli-units, rounded up as Kubernetes rounds."""
    return math.ceil(parse_quantity(value) * 1000)


def parse_whole(value: str | float) -> int:
    """Read a quantity in whole units (bytes, pods), rounded up as Kubernetes rounds."""
    return math.ceil(parse_quantity(value))


def format_milli(milli: int) -> str:
    """Write milli-units as Kubernetes prints them: `5`, `2500m`."""
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def format_bytes(count: int) -> str:
    """Write bytes with the largest binary suffix that divides them."""
    for suffix in ("Ti", "Gi", "Mi", "Ki"):
        size = int(_SUFFIXES[suffix])
        if count and count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)


def parse_duration(text: str) -> float:
    """Read a Go duration into seconds.

    Raises:
        InvalidManifest: the text is none.
    """
    rest, sign = text.strip(), 1.0
    if rest[:1] in {"+", "-"}:
        sign, rest = (-1.0 if rest[0] == "-" else 1.0), rest[1:]
    if rest == "0":
        return 0.0
    seconds, at = 0.0, 0
    for match in _DURATION_PART.finditer(rest):
        if match.start() != at:
            break
        seconds += float(match[1]) * _UNIT_SECONDS[match[2]]
        at = match.end()
    if at == 0 or at != len(rest):
        raise InvalidManifest(f'time: invalid duration "{text}"')
    return sign * seconds


def parse_optional_duration(text: str | None) -> float:
    """Read a Go duration, or `Never` (and an absent value) as infinity."""
    return math.inf if text is None or text == "Never" else parse_duration(text)


def format_seconds(seconds: float) -> str:
    """Write seconds as people and `kubectl` read them: `45s`, `5m`, `1h30m`."""
    if math.isinf(seconds):
        return "Never"
    whole = round(seconds)
    if abs(seconds - whole) > 0.05 and seconds < 60:
        return f"{seconds:.1f}s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if number]
    return "".join(parts) or "0s"
