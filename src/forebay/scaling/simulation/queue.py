"""A queue of any depth as groups of messages that came together: what waits, and how old the oldest is."""

from collections import deque

import msgspec


class Group(msgspec.Struct):
    """Messages that came at one moment."""

    arrived_at: float
    count: int


class Queue:
    """First in, first out; messages whose work was cut off come back with their age."""

    def __init__(self) -> None:
        self._groups = deque[Group]()
        self.visible = 0
        self.received = 0

    def send(self, count: int, now: float) -> None:
        """Put new messages at the end."""
        self._groups.append(Group(now, count))
        self.visible += count
        self.received += count

    def put_back(self, group: Group) -> None:
        """Put messages back that nobody finished; they are the oldest."""
        self._groups.appendleft(group)
        self.visible += group.count

    def take(self, count: int) -> list[Group]:
        """Take the oldest messages."""
        taken: list[Group] = []
        while count > 0 and self._groups:
            head = self._groups[0]
            if head.count <= count:
                taken.append(self._groups.popleft())
                count -= head.count
            else:
                head.count -= count
                taken.append(Group(head.arrived_at, count))
                count = 0
        self.visible -= sum(group.count for group in taken)
        return taken

    def oldest_age(self, now: float) -> float:
        """Return how long the message at the head has been there."""
        return now - self._groups[0].arrived_at if self._groups else 0.0
