"""The counters of a message group of a FIFO queue, or of a tenant of a standard one: what SQL engines share."""

from dataclasses import dataclass


@dataclass(slots=True)
class Group:
    """A group's counters. `head` is right only while the group is open and `is_headless` is not set.

    Tenants have `is_noisy` 0 or 1, groups of FIFO queues None.
    """

    id: int
    queue: int
    name: str
    ready: int = 0
    delayed: int = 0
    in_flight: int = 0
    head: int | None = None
    is_noisy: int | None = None
    sent_at: int = 0
    is_headless: bool = False
    is_new: bool = False

    def add_ready(self, row: int) -> None:
        """Count a message that was put behind all others."""
        if self.in_flight == 0 and self.ready == 0:
            self.head = row
        self.ready += 1

    def leave(self, state: int) -> None:
        """Count a message that is gone, by its state."""
        if state < 0:
            self.ready -= 1
            self.is_headless = True
        elif state == 1:
            self.delayed -= 1
        else:
            self.end_flight()

    def end_flight(self) -> None:
        """Count a message that is in flight no more."""
        self.in_flight -= 1
        self.is_headless = True

    def lose_head(self) -> bool:
        """Forget a head that is not right; return whether the group needs another one now."""
        if not self.is_headless or self.in_flight:
            return False
        self.is_headless = False
        self.head = None
        return self.ready > 0

    @property
    def is_empty(self) -> bool:
        """Whether the group has no message in any state."""
        return not (self.ready or self.delayed or self.in_flight)
