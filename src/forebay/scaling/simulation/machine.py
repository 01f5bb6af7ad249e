"""A node of a simulation, from the decision to buy it until it is gone."""

import math

from forebay.scaling.policies.instance_types import InstanceType, Offering
from forebay.scaling.policies.node import NodeView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.requirements import CAPACITY_TYPE
from forebay.scaling.policies.resources import Amounts
from forebay.scaling.simulation.workload import Pod


class Machine:
    """A node, from the decision to buy it until it is gone."""

    __slots__ = (
        "created_at", "is_deleting", "is_draining", "is_ready", "kind", "labels", "last_event_at", "name",
        "nominated_until", "offering", "pods", "pool", "reason", "used", "view",
    )  # fmt: skip

    def __init__(
        self, name: str, pool: Pool | None, kind: InstanceType, offering: Offering, labels: dict[str, str], now: float
    ) -> None:
        self.name = name
        self.pool = pool
        self.kind = kind
        self.offering = offering
        self.labels = labels
        self.created_at = now
        self.last_event_at = now
        self.nominated_until = 0.0
        self.is_ready = False
        self.is_deleting = False
        self.is_draining = False
        self.reason = ""
        self.pods = dict[str, Pod]()
        self.used = Amounts() if pool is None else pool.daemon_overhead
        self.view: NodeView | None = None

    @property
    def capacity_type(self) -> str:
        """`spot` or `on-demand`."""
        return self.labels.get(CAPACITY_TYPE, "")

    def seen(self) -> NodeView:
        """Return the node as policies see it, made anew only after a change."""
        if self.view is None:
            self.view = self._look()
        return self.view

    def _look(self) -> NodeView:
        pool = self.pool
        quiet = math.inf if pool is None else pool.consolidate_after_seconds
        return NodeView(
            name=self.name,
            allocatable=self.kind.allocatable,
            pods_max=self.kind.pods_max,
            labels=self.labels,
            taints=() if pool is None else pool.taints,
            pods=tuple(pod.view for pod in self.pods.values()),
            used=self.used,
            pool="" if pool is None else pool.name,
            instance_type=self.kind.name,
            capacity_type=self.capacity_type,
            price=self.offering.price,
            is_ready=self.is_ready,
            is_initialized=self.is_ready,
            is_deleting=self.is_deleting,
            nominated_until=self.nominated_until,
            consolidatable_at=self.last_event_at + quiet,
            created_at=self.created_at,
            expires_at=math.inf if pool is None else self.created_at + pool.expire_after_seconds,
        )
