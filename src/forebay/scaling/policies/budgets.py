"""Karpenter's disruption budgets: how many nodes of a pool may go at once, by reason and by schedule.

The least of the budgets that are active and name the reason (or none) counts. Percentages round up; what cannot be
read allows nothing. Source: karpenter `pkg/apis/v1/nodepool.go`, `GetAllowedDisruptionsByReason`.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from forebay.scaling.manifests.karpenter import Budget, Reason
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import parse_duration
from forebay.scaling.policies.unix_cron import parse_cron

REASONS: tuple[Reason, ...] = ("Empty", "Underutilized", "Drifted")
UNLIMITED = 2**31 - 1

_NODES = re.compile(r"(100|[0-9]{1,2})%|[0-9]+")


def allowed(budgets: Sequence[Budget], reason: Reason, nodes: int, now: float) -> int:
    """Return how many of a pool's nodes may be disrupted for a reason, before those that already are."""
    least = UNLIMITED
    for budget in budgets:
        if budget.reasons and reason not in budget.reasons:
            continue
        try:
            if is_active(budget, now):
                least = min(least, _count(budget.nodes, nodes))
        except InvalidManifest:
            return 0
    return least


def remaining(budgets: Sequence[Budget], reason: Reason, nodes: int, disrupting: int, now: float) -> int:
    """Return how many more may be disrupted: nodes that are not ready or going already use the budget up."""
    return max(0, allowed(budgets, reason, nodes, now) - disrupting)


def is_active(budget: Budget, now: float) -> bool:
    """Tell whether a budget counts now: always without a schedule, else for its duration after each hit (UTC).

    Raises:
        InvalidManifest: its schedule or duration cannot be read.
    """
    if budget.schedule is None and budget.duration is None:
        return True
    if budget.schedule is None or budget.duration is None:
        raise InvalidManifest("schedule and duration go together")
    # Karpenter asks for the next hit after now - duration: it is active if that has come.
    duration = timedelta(seconds=parse_duration(budget.duration))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
    hit = parse_cron(budget.schedule).next_after(moment - duration)
    return hit is not None and hit <= moment


def _count(text: str, nodes: int) -> int:
    if not _NODES.fullmatch(text):
        raise InvalidManifest(f"nodes: {text!r} is neither a number nor a percentage")
    if text.endswith("%"):
        return math.ceil(int(text.removesuffix("%")) * nodes / 100)
    return int(text)
