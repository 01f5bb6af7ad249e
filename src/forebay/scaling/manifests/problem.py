"""What is wrong with a manifest: each problem names its place, so that nothing is dropped silently."""

from typing import Literal

import msgspec

Gravity = Literal["error", "warning"]


class InvalidManifest(ValueError):
    """A document cannot be read as what it says it is; the text names the place and the reason."""


class UnknownKind(InvalidManifest):
    """A document is of a kind or version that is not taken here."""


class Problem(msgspec.Struct, frozen=True):
    """One thing about a document that its author should know.

    An error keeps the document from having its meaning; a warning tells of what is accepted without effect.
    """

    gravity: Gravity
    path: str
    text: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.gravity}: {self.path}: {self.text}" if self.path else f"{self.gravity}: {self.text}"
