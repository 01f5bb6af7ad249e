"""What KEDA reports for a metric that cannot be read: a count of failures, and a value in its place.

The count rises with each failed read, by the operator's poll and by the HPA alike, and falls to 0 with each good one.
Source: KEDA v2.20 `pkg/fallback/fallback.go`.
"""

import msgspec

from forebay.scaling.manifests.keda import Fallback, FallbackBehavior, MetricType
from forebay.scaling.policies.outcome import Condition


class Health(msgspec.Struct, frozen=True):
    """How often in a row a metric could not be read."""

    failures: int = 0

    @property
    def status(self) -> str:
        """`Happy` or `Failing`, as the object's status shows."""
        return "Failing" if self.failures else "Happy"

    def after(self, *, is_read: bool) -> "Health":
        """Return the health after one more read."""
        return Health() if is_read else Health(self.failures + 1)


class Target(msgspec.Struct, frozen=True):
    """What a metric is held at."""

    value: float
    type: MetricType = "AverageValue"


def is_falling_back(fallback: Fallback | None, health: Health) -> bool:
    """Tell whether a metric has failed too often: more often than the threshold, not as often."""
    return fallback is not None and health.failures > fallback.failure_threshold


def fallback_replicas(behavior: FallbackBehavior, replicas: int, current_replicas: int) -> int:
    """Return the number of replicas that stands in; `scalingModifiers` has none, its formula decides."""
    match behavior:
        case "currentReplicas":
            return current_replicas
        case "currentReplicasIfHigher":
            return max(current_replicas, replicas)
        case "currentReplicasIfLower":
            return min(current_replicas, replicas)
        case "static" | "scalingModifiers":
            return replicas


def fallback_value(fallback: Fallback, target: Target, *, current_replicas: int, ready_replicas: int) -> float | None:
    """Return the value that makes the HPA want the fallback's replicas, or None where no value can.

    For metrics of type Value the HPA multiplies by ready pods, so without one there is no such value.
    """
    if fallback.behavior == "scalingModifiers":
        return None
    replicas = float(fallback_replicas(fallback.behavior, fallback.replicas, current_replicas))
    if target.type == "Value":
        if ready_replicas == 0:
            return None
        replicas /= ready_replicas
    # KEDA truncates to milli-units.
    return int(target.value * 1000 * replicas) / 1000


def fallback_condition(*, is_falling_back: bool) -> Condition:
    """Return the condition that tells of fallbacks."""
    if is_falling_back:
        text = "At least one trigger is falling back on this scaled object"
        return Condition("Fallback", "True", "FallbackExists", text)
    return Condition("Fallback", "False", "NoFallbackFound", "No fallbacks are active on this scaled object")
