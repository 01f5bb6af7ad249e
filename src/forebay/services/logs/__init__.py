"""CloudWatch Logs: groups, streams and their events, which stand in the store's log.

Reading order: `group.py`, `event.py` (the domain), `filter_pattern.py` with `json_pattern.py`, `delimited_pattern.py`
and `expression.py` (the filter pattern language), `subscription_filter.py`, `subscription_payload.py`, `groups.py`,
`streams.py`, `events.py`, `subscription_filters.py`, `resource_policies.py` (operations), `target.py` (EventBridge
delivers here), `limits.py`.

Functions' output comes in through `PutLogEvents` like everybody's: two records from the cache and one append in the
group commit. Left out: Live Tail, Insights queries, metric filters, subscriptions of anything but functions,
encryption keys, deletion protection, exports, destinations.
"""

from forebay.api import logs as api
from forebay.operations.platform import Platform
from forebay.operations.service import Parts, Service
from forebay.services.logs import events, groups, resource_policies, streams, subscription_filters
from forebay.services.logs.target import LogGroupTarget


async def _build(platform: Platform) -> Parts:
    return Parts(target=LogGroupTarget(platform.store, platform.clock))


SERVICE = Service(
    name="logs",
    model=api.MODEL,
    operations=(groups, streams, events, subscription_filters, resource_policies),
    build=_build,
)
