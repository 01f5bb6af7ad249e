"""Virtual time: what happens when, in order, as fast as it can be worked out."""

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Calendar:
    """Actions by the time at which they are due; equal times run in the order in which they were entered."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._heap: list[tuple[float, int, Action]] = []
        self._count = 0

    def at(self, moment: float, action: Action) -> None:
        """Enter an action; one that is due already runs next."""
        self._count += 1
        heapq.heappush(self._heap, (max(moment, self.now), self._count, action))

    def after(self, seconds: float, action: Action) -> None:
        """Enter an action some seconds from now."""
        self.at(self.now + seconds, action)

    def every(self, seconds: float, action: Action, first: float | None = None) -> None:
        """Run an action again and again, for the first time at `first` or now."""
        due = self.now if first is None else first

        def step() -> None:
            nonlocal due
            action()
            due += seconds
            self.at(due, step)

        self.at(due, step)

    def run_until(self, end: float) -> None:
        """Run everything that is due before or at `end`, and stop there."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            moment, _, action = heapq.heappop(heap)
            self.now = moment
            action()
        self.now = end
