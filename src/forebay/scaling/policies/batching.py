"""How long Karpenter waits for more pending pods before it plans: until 1 s is quiet, and 10 s at most."""

import msgspec

IDLE_SECONDS = 1.0
MAX_SECONDS = 10.0


class Batch(msgspec.Struct, frozen=True):
    """A window that opened with a pod and in which the last one came later."""

    opened_at: float
    last_at: float

    def with_pod(self, now: float) -> "Batch":
        """Return the window after one more pod."""
        return Batch(self.opened_at, now)

    @property
    def closes_at(self) -> float:
        """When planning begins, if no other pod comes."""
        return min(self.last_at + IDLE_SECONDS, self.opened_at + MAX_SECONDS)


def with_pod(batch: Batch | None, now: float) -> Batch:
    """Return the window after a pod, opened by it where none is."""
    return Batch(now, now) if batch is None else batch.with_pod(now)
