"""What a rule has to say about manifests."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from forebay.scaling.lint.setting import Setting


class Finding(msgspec.Struct, frozen=True):
    """One mistake: which object, what follows from it, and what to do instead."""

    subject: str
    text: str
    advice: str = ""


class Rule(msgspec.Struct, frozen=True):
    """A known mistake. An error is refused or never works; a warning works in another way than people expect."""

    name: str
    gravity: Literal["error", "warning"]
    about: str
    check: Callable[[Setting], Iterator[Finding]]
