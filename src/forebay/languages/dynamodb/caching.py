"""Compiled expressions that are kept: the short ones, so that whoever sends ever new texts costs no memory."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_KEPT = 1024
_LENGTH_MAX = 1024


def keep_short(compile_it: Callable[P, T]) -> Callable[P, T]:
    """Keep what a function has made of its arguments, which are texts and tuples of pairs of texts."""
    kept = lru_cache(maxsize=_KEPT)(compile_it)

    @wraps(compile_it)
    def compile_or_find(*args: P.args, **kwargs: P.kwargs) -> T:
        length = 0
        for part in args:
            if isinstance(part, str):
                length += len(part)
            else:
                length += sum([len(name) + len(alias) for alias, name in part])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType, reportGeneralTypeIssues]
        return kept(*args, **kwargs) if length <= _LENGTH_MAX else compile_it(*args, **kwargs)

    return compile_or_find
