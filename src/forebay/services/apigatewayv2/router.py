"""Which route answers a request. Pure: route keys in, the best match and its path parameters out.

AWS's order (developer guide, "Create routes for HTTP APIs"): a full match of path and method, where segments that are
spelled out win over parameters and a method over ANY; then a match by a greedy parameter; then `$default`.
"""

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from forebay.services.apigatewayv2.route_key import ANY, Literal, RouteKey

T = TypeVar("T")

_NO_PARAMETERS: Mapping[str, str] = {}


class Match(NamedTuple, Generic[T]):
    """The route that answers, and the values of its path parameters."""

    route: T
    parameters: Mapping[str, str]


class Router(Generic[T]):
    """Finds routes; built once from all of them."""

    def __init__(self, routes: Sequence[tuple[RouteKey, T]]) -> None:
        self._exact: dict[tuple[str, str], T] = {}
        self._open: list[tuple[RouteKey, T]] = []
        self._default: T | None = None
        for key, route in routes:
            if key.is_default:
                self._default = route
            elif key.is_exact:
                self._exact[key.method, key.path] = route
            else:
                self._open.append((key, route))
        self._open.sort(key=lambda item: _rank(item[0]))

    def find(self, method: str, path: str) -> Match[T] | None:
        """Return the route for a method and a decoded path; None where nothing answers."""
        exact = self._exact.get((method, path))
        if exact is None:
            exact = self._exact.get((ANY, path))
        if exact is not None:
            return Match(exact, _NO_PARAMETERS)
        if self._open:
            parts = path[1:].split("/")
            for key, route in self._open:
                if key.method not in (method, ANY):
                    continue
                parameters = _values(key, parts)
                if parameters is not None:
                    return Match(route, parameters)
        return None if self._default is None else Match(self._default, _NO_PARAMETERS)


def _rank(key: RouteKey) -> tuple[tuple[int, ...], bool]:
    """Return what sorts the more specific key first: literals before parameters before greedy ones, then methods."""
    kinds = [0 if isinstance(segment, Literal) else 2 if segment.is_greedy else 1 for segment in key.segments]
    return (*((1, *kinds) if kinds[-1] == 2 else (0, *kinds)),), key.method == ANY


def _values(key: RouteKey, parts: Sequence[str]) -> Mapping[str, str] | None:
    """Return the values of a key's parameters in a path, or None where the path does not fit."""
    values: dict[str, str] = {}
    for at, segment in enumerate(key.segments):
        if at >= len(parts):
            return None
        if isinstance(segment, Literal):
            if segment.text != parts[at]:
                return None
        elif segment.is_greedy:
            values[segment.name] = "/".join(parts[at:])
            return values if values[segment.name] else None
        elif not parts[at]:
            return None
        else:
            values[segment.name] = parts[at]
    return values if len(key.segments) == len(parts) else None
