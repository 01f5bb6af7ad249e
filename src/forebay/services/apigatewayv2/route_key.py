"""Route keys: `$default`, or a method and a path with parameters (`GET /pets/{id}`, `ANY /{proxy+}`)."""

import re

import msgspec

DEFAULT = "$default"
ANY = "ANY"

_METHODS = frozenset({"ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_SEGMENT = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:@ -]*")
_PARAMETER = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}")


class InvalidRouteKey(ValueError):
    """A text is not a route key."""


class Literal(msgspec.Struct, frozen=True):
    """A segment that a path must have as it is."""

    text: str


class Parameter(msgspec.Struct, frozen=True):
    """A segment that can be anything but empty; a greedy one takes all that follow too."""

    name: str
    is_greedy: bool = False


Segment = Literal | Parameter


class RouteKey(msgspec.Struct, frozen=True):
    """A method and a path; both empty for `$default`."""

    text: str
    method: str = ""
    path: str = ""
    segments: tuple[Segment, ...] = ()

    @property
    def is_default(self) -> bool:
        """Whether this is `$default`."""
        return not self.method

    @property
    def is_exact(self) -> bool:
        """Whether the path has no parameters."""
        return all(isinstance(segment, Literal) for segment in self.segments)


def parse_route_key(text: str) -> RouteKey:
    """Read a route key.

    Raises:
        InvalidRouteKey: it is none.
    """
    if text == DEFAULT:
        return RouteKey(text)
    method, _, path = text.partition(" ")
    if method not in _METHODS or not path.startswith("/"):
        raise InvalidRouteKey(text)
    segments = tuple(_segment(part) for part in path[1:].split("/"))
    names = [segment.name for segment in segments if isinstance(segment, Parameter)]
    if len(set(names)) != len(names):
        raise InvalidRouteKey(text)
    if any(isinstance(segment, Parameter) and segment.is_greedy for segment in segments[:-1]):
        raise InvalidRouteKey(text)
    return RouteKey(text, method, path, segments)


def _segment(text: str) -> Segment:
    parameter = _PARAMETER.fullmatch(text)
    if parameter is not None:
        return Parameter(parameter[1], bool(parameter[2]))
    if _SEGMENT.fullmatch(text) is None:
        raise InvalidRouteKey(text)
    return Literal(text)
