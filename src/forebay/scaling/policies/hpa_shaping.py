"""How the HPA shapes what metrics ask for: stabilisation windows, rate limits, bounds; and the history these need.

Without `behavior` the old rules hold (scaling down waits for 300 s, scaling up at most doubles, or goes to 4); with it,
even in part, the API's defaults fill what is absent. Source: `pkg/controller/podautoscaler/horizontal.go`, 1.34.
"""

import math
from collections.abc import Sequence

import msgspec

from forebay.scaling.manifests.hpa import Behavior, ScalingPolicy, ScalingRules

_INT32_MAX = 2**31 - 1

_UP_POLICIES = (ScalingPolicy("Pods", 4, 15), ScalingPolicy("Percent", 100, 15))
_DOWN_POLICIES = (ScalingPolicy("Percent", 100, 15),)


class Recommendation(msgspec.Struct, frozen=True):
    """What was once asked for."""

    replicas: int
    at: float


class ScaleEvent(msgspec.Struct, frozen=True):
    """How many replicas were added or taken at a moment."""

    change: int
    at: float
    is_outdated: bool = False


class HpaHistory(msgspec.Struct, frozen=True):
    """What an HPA remembers; a real controller keeps it in memory and forgets it at a restart."""

    recommendations: tuple[Recommendation, ...] | None = None
    up_events: tuple[ScaleEvent, ...] = ()
    down_events: tuple[ScaleEvent, ...] = ()


class Rules(msgspec.Struct, frozen=True):
    """How one direction behaves, with nothing left open."""

    window_seconds: int
    select_policy: str
    policies: tuple[ScalingPolicy, ...]


class Shaped(msgspec.Struct, frozen=True):
    """A number of replicas and what limited it."""

    replicas: int
    reason: str = "DesiredWithinRange"
    message: str = "the desired count is within the acceptable range"


class Bounds(msgspec.Struct, frozen=True):
    """The least and the most replicas."""

    minimum: int
    maximum: int


_TOO_FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")


def up_rules(behavior: Behavior | None) -> Rules:
    """Return how scaling up behaves, defaults filled in."""
    return _filled(behavior.scale_up if behavior else None, 0, _UP_POLICIES)


def down_rules(behavior: Behavior | None, window_seconds: int = 300) -> Rules:
    """Return how scaling down behaves; `window_seconds` is the controller's flag."""
    return _filled(behavior.scale_down if behavior else None, window_seconds, _DOWN_POLICIES)


def _filled(rules: ScalingRules | None, window_seconds: int, policies: tuple[ScalingPolicy, ...]) -> Rules:
    given = rules or ScalingRules()
    window = given.stabilization_window_seconds
    return Rules(
        window_seconds if window is None else window,
        given.select_policy or "Max",
        policies if given.policies is None else given.policies,
    )


def stabilize(
    log: Sequence[Recommendation], desired: int, window_seconds: float, now: float
) -> tuple[int, tuple[Recommendation, ...]]:
    """Return the highest recommendation of the window, and the log with the newest one in it."""
    cutoff = now - window_seconds
    highest = max([desired, *(past.replicas for past in log if past.at >= cutoff)])
    return highest, _recorded(log, desired, now, [past.at < cutoff for past in log])


def stabilize_with_behavior(
    log: Sequence[Recommendation], desired: int, current: int, windows: tuple[float, float], now: float
) -> tuple[int, tuple[Recommendation, ...]]:
    """Keep the current count between the lowest of the up window and the highest of the down window."""
    up_cutoff, down_cutoff = now - windows[0], now - windows[1]
    lowest = min([desired, *(past.replicas for past in log if past.at > up_cutoff)])
    highest = max([desired, *(past.replicas for past in log if past.at > down_cutoff)])
    old = [past.at < up_cutoff and past.at < down_cutoff for past in log]
    return min(max(current, lowest), highest), _recorded(log, desired, now, old)


def _recorded(
    log: Sequence[Recommendation], desired: int, now: float, is_old: Sequence[bool]
) -> tuple[Recommendation, ...]:
    newest = Recommendation(desired, now)
    if not any(is_old):
        return (*log, newest)
    # The last slot that no window reaches is used again.
    index = max(place for place, old in enumerate(is_old) if old)
    return (*log[:index], newest, *log[index + 1 :])


def limit(current: int, desired: int, bounds: Bounds) -> Shaped:
    """Keep a count within bounds, and at most twice the current one (or 4), where there is no `behavior`."""
    up_limit = max(2 * current, 4)
    maximum, name = (up_limit, _TOO_FAST_UP) if bounds.maximum > up_limit else (bounds.maximum, _TOO_MANY)
    if desired < bounds.minimum:
        return Shaped(bounds.minimum, *_TOO_FEW)
    return Shaped(maximum, *name) if desired > maximum else Shaped(desired)


def limit_with_behavior(
    current: int, desired: int, bounds: Bounds, rules: tuple[Rules, Rules], history: HpaHistory, now: float
) -> Shaped:
    """Keep a count within bounds and within what the policies of its direction allow; `rules` are those up and down."""
    up, down = rules
    if desired > current:
        up_limit = max(current, scale_up_limit(current, up, history, now))
        maximum, name = (up_limit, _TOO_FAST_UP) if bounds.maximum > up_limit else (bounds.maximum, _TOO_MANY)
        return Shaped(maximum, *name) if desired > maximum else Shaped(desired)
    if desired < current:
        down_limit = min(current, scale_down_limit(current, down, history, now))
        minimum, name = (down_limit, _TOO_FAST_DOWN) if bounds.minimum < down_limit else (bounds.minimum, _TOO_FEW)
        return Shaped(minimum, *name) if desired < minimum else Shaped(desired)
    return Shaped(desired)


def scale_up_limit(current: int, rules: Rules, history: HpaHistory, now: float) -> int:
    """Return the most replicas that the policies allow now."""
    if rules.select_policy == "Disabled":
        return current
    limits = [_highest(policy, _at_period_start(current, policy, history, now)) for policy in rules.policies]
    if rules.select_policy == "Min":
        return min(limits, default=_INT32_MAX)
    return max(limits, default=-_INT32_MAX - 1)


def scale_down_limit(current: int, rules: Rules, history: HpaHistory, now: float) -> int:
    """Return the fewest replicas that the policies allow now."""
    if rules.select_policy == "Disabled":
        return current
    limits = [_lowest(policy, _at_period_start(current, policy, history, now)) for policy in rules.policies]
    if rules.select_policy == "Min":
        return max(limits, default=-_INT32_MAX - 1)
    return min(limits, default=_INT32_MAX)


def change_in_period(events: Sequence[ScaleEvent], period_seconds: float, now: float) -> int:
    """Return how many replicas events strictly younger than a period have changed."""
    return sum(event.change for event in events if event.at > now - period_seconds)


def _at_period_start(current: int, policy: ScalingPolicy, history: HpaHistory, now: float) -> int:
    added = change_in_period(history.up_events, policy.period_seconds, now)
    deleted = change_in_period(history.down_events, policy.period_seconds, now)
    return current - added + deleted


def _highest(policy: ScalingPolicy, start: int) -> int:
    if policy.type == "Pods":
        return start + policy.value
    return math.ceil(start * (1 + policy.value / 100))


def _lowest(policy: ScalingPolicy, start: int) -> int:
    if policy.type == "Pods":
        return start - policy.value
    return int(start * (1 - policy.value / 100))


def store_event(
    events: Sequence[ScaleEvent], change: int, policies: Sequence[ScalingPolicy], now: float
) -> tuple[ScaleEvent, ...]:
    """Record a change; events older than the longest period are marked, and the last of them makes room."""
    longest = max((policy.period_seconds for policy in policies), default=0)
    marked = [
        event if event.is_outdated or event.at >= now - longest else msgspec.structs.replace(event, is_outdated=True)
        for event in events
    ]
    newest = ScaleEvent(change, now)
    outdated = [index for index, event in enumerate(marked) if event.is_outdated]
    if not outdated:
        return (*marked, newest)
    marked[outdated[-1]] = newest
    return tuple(marked)
