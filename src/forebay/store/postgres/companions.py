"""What may commit together with a writer's transaction: transactions in other databases (`store/spread`)."""

from typing import Protocol

from forebay.store.postgres.session import Session


class CompanionLost(Exception):
    """Another database cannot be reached; nothing was committed anywhere."""


class Companions(Protocol):
    """Transactions in other databases. A writer calls this in its thread, at the moments that the names say."""

    def save(self) -> None:
        """Set a point to which `undo` goes back; transactions that begin later begin there."""
        ...

    def undo(self) -> None:
        """Undo what was done since the point was set."""
        ...

    def release(self) -> None:
        """Forget the point."""
        ...

    def prepare(self, session: Session) -> None:
        """Make everything durable but the decision, which becomes part of the commit of `session` that follows."""
        ...

    def conclude(self, session: Session | None) -> None:
        """Commit: `session`, or one before it whose connection is lost, has committed."""
        ...

    def abandon(self, session: Session | None) -> None:
        """Roll everything back: nothing was committed, nor will be."""
        ...

    def leave(self) -> None:
        """Leave what was prepared to whoever finds it: nobody knows whether the commit was done."""
        ...

    def tend(self, session: Session) -> None:
        """Settle what others have left; called between transactions, from time to time."""
        ...


class Alone:
    """The companions of a store that is one database: none."""

    def save(self) -> None:
        """Do nothing."""

    def undo(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""

    def prepare(self, session: Session) -> None:
        """Do nothing."""

    def conclude(self, session: Session | None) -> None:
        """Do nothing."""

    def abandon(self, session: Session | None) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""

    def tend(self, session: Session) -> None:
        """Do nothing."""
