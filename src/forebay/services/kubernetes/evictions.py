"""`pods/eviction`: deletes a pod if disruption budgets allow it, as `kubectl drain` and Karpenter ask."""

from typing import cast

from forebay.core.http import Answer
from forebay.scaling.cluster.evictions import evict
from forebay.scaling.cluster.kinds import EMPTY, PODS, Object
from forebay.scaling.cluster.status import not_found
from forebay.scaling.cluster.world import World
from forebay.services.kubernetes.answers import answer
from forebay.services.kubernetes.ask import Ask, body_of


async def create_eviction(world: World, ask: Ask) -> Answer:
    """Evict a pod.

    Raises:
        StatusError: it is not there, or a budget keeps it.
    """
    pod = world.index.find(PODS, ask.namespace, ask.name)
    if pod is None:
        raise not_found(PODS, ask.name)
    body = body_of(ask.request)
    options = cast("Object", cast("Object", body).get("deleteOptions") or EMPTY) if isinstance(body, dict) else EMPTY
    await evict(world, pod, options.get("gracePeriodSeconds"), is_dry_run=ask.is_dry_run)
    return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)
