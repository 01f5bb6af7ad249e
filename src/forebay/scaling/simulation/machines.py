"""Nodes under the scheduler and Karpenter: pods are bound, nodes are bought, moved out of, and given back."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from forebay.scaling.manifests.workloads import PodDisruptionBudget
from forebay.scaling.policies import batching, disruption
from forebay.scaling.policies.disruption_budget import BudgetedPod, allowance, selects
from forebay.scaling.policies.instance_types import InstanceType, Offering
from forebay.scaling.policies.node import NodeView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.placement import place
from forebay.scaling.policies.preemption import preempt
from forebay.scaling.policies.provisioning import NOMINATION_SECONDS, NewNode, node_labels, provision
from forebay.scaling.policies.resources import Amounts
from forebay.scaling.simulation.calendar import Calendar
from forebay.scaling.simulation.machine import Machine
from forebay.scaling.simulation.result import PoolCost
from forebay.scaling.simulation.scenario import Scenario
from forebay.scaling.simulation.workload import Placing, Pod, Tell, Workload

# From the last pod's end to the instance's: the call to the cloud and its answer.
_TERMINATION_SECONDS = 5.0
_DRAIN_RETRY_SECONDS = 10.0
# The one machine of a setting without NodePools.
_ENDLESS = Amounts(cpu_milli=10**12, memory_bytes=10**18, ephemeral_bytes=10**18)


class MachineRoom:
    """All nodes of a setting, and the pods that wait for one."""

    def __init__(self, scenario: Scenario, calendar: Calendar, tell: Tell) -> None:
        self.machines = dict[str, Machine]()
        self.pending = dict[str, Pod]()
        self.evictions = Counter[str]()
        self.removals = Counter[str]()
        self.most = 0
        self.workloads: Sequence[Workload] = ()
        self._scenario = scenario
        self._calendar = calendar
        self._tell = tell
        self._pools = {pool.name: pool for pool in scenario.pools}
        self._made = Counter[str]()
        self._spent = dict[tuple[str, str, str], tuple[float, float]]()
        self._is_placing = False
        self._batch: batching.Batch | None = None
        self._nominated = dict[str, str]()
        # Pods for which others make room, and where.
        self._promised = dict[str, Machine]()
        self._least_priority = min((plan.demand.priority for plan in scenario.workloads), default=0)
        self._stuck = ""
        self._is_validating = False
        self._changed_at = calendar.now
        self._idle_since = dict[str, float]()
        self._endless: Machine | None = None

    @property
    def placing(self) -> Placing:
        """What workloads are given."""
        return Placing(self.add, self.remove)

    def start(self) -> None:
        """Begin: rounds of disruption, or the one endless machine where there are no pools."""
        if self._pools:
            self._calendar.every(disruption.ROUND_SECONDS, self._round, self._calendar.now + disruption.ROUND_SECONDS)
            return
        kind = InstanceType("machine", _ENDLESS, 10**9, {}, ())
        self._endless = Machine("machine", None, kind, Offering(0.0, {}), {}, self._calendar.now)
        self._endless.is_ready = True

    # Pods.

    def add(self, pods: Sequence[Pod]) -> None:
        """Take new pods that need a node."""
        if self._endless is not None:
            self._bind((pod, self._endless) for pod in pods)
            return
        for pod in pods:
            self.pending[pod.view.name] = pod
        self._want_placing()

    def remove(self, pods: Sequence[Pod]) -> None:
        """Take back the room of pods that are gone."""
        for pod in pods:
            machine = self.machines.get(pod.node)
            if machine is None:
                self.pending.pop(pod.view.name, None)
                self._nominated.pop(pod.view.name, None)
                self._promised.pop(pod.view.name, None)
                continue
            machine.pods.pop(pod.view.name, None)
            machine.used = machine.used.plus(pod.view.demand.requests, -1)
            self._touch(machine)
            if machine.is_draining and not machine.pods:
                self._calendar.after(_TERMINATION_SECONDS, _call(self._delete, machine))
        self._want_placing()

    def _want_placing(self) -> None:
        if self.pending and not self._is_placing:
            self._is_placing = True
            self._calendar.at(self._calendar.now, self._place)

    def _place(self) -> None:
        self._is_placing = False
        if not self.pending:
            return
        nodes = [machine.seen() for machine in self.machines.values() if machine.is_ready and not machine.is_deleting]
        found = place([pod.view for pod in self.pending.values()], nodes, explains=False)
        self._bind((self.pending[name], self.machines[node]) for name, node in found.bound.items())
        for name in found.bound:
            del self.pending[name]
            self._nominated.pop(name, None)
            self._promised.pop(name, None)
        waiting = [
            pod for name, pod in list(self.pending.items()) if name not in self._nominated and not self._preempt(pod)
        ]
        if waiting:
            self._batch = batching.with_pod(self._batch, self._calendar.now)
            self._calendar.at(self._batch.closes_at, self._provision)

    def _preempt(self, pod: Pod) -> bool:
        """Let less important pods make room for a pod; it waits for them then, and no node is made for it."""
        if pod.view.demand.priority <= self._least_priority:
            return False
        promised = self._promised.pop(pod.view.name, None)
        if promised is not None and any(_is_leaving(other) for other in promised.pods.values()):
            self._promised[pod.view.name] = promised
            return True
        found = preempt(pod.view, [self._with_promises(m) for m in self.machines.values() if not m.is_deleting])
        if found is None:
            return False
        machine = self._promised[pod.view.name] = self.machines[found.node]
        victims = [machine.pods[victim.name] for victim in found.victims if victim.name in machine.pods]
        going = [victim for victim in victims if not _is_leaving(victim)]
        self._tell("scheduler", f"{len(going)} pods make room for {pod.view.name}", "they have a lower priority")
        self.evictions["Preempted"] += len(going)
        for workload in {id(victim.workload): victim.workload for victim in going}.values():
            workload.leave([victim for victim in going if victim.workload is workload])
            workload.replace_missing()
        return True

    def _with_promises(self, machine: Machine) -> NodeView:
        """Return a node as it will be: without the pods that leave, and with those that they make room for."""
        view = machine.seen()
        coming = [name for name, where in self._promised.items() if where is machine]
        if not coming and not any(_is_leaving(pod) for pod in machine.pods.values()):
            return view
        staying = [pod.view for pod in machine.pods.values() if not _is_leaving(pod)]
        pods = (*staying, *(self.pending[name].view for name in coming if name in self.pending))
        return msgspec.structs.replace(view, pods=pods, used=None)

    def _bind(self, bound: Iterable[tuple[Pod, Machine]]) -> None:
        starting: dict[int, tuple[Workload, list[Pod]]] = {}
        touched = dict[str, Machine]()
        for pod, machine in bound:
            pod.node, pod.candidate = machine.name, None
            protected = pod.workload.plan.protection_seconds
            if protected:
                pod.view = msgspec.structs.replace(pod.view, protected_until=self._calendar.now + protected)
            machine.pods[pod.view.name] = pod
            machine.used = machine.used.plus(pod.view.demand.requests)
            touched[machine.name] = machine
            starting.setdefault(id(pod.workload), (pod.workload, []))[1].append(pod)
        for machine in touched.values():
            self._touch(machine)
        for workload, pods in starting.values():
            self._calendar.after(workload.plan.workers.start_seconds, _ready(workload, pods))

    def _touch(self, machine: Machine) -> None:
        machine.last_event_at = self._changed_at = self._calendar.now
        machine.view = None

    # Provisioning.

    def _provision(self) -> None:
        if self._batch is None or self._calendar.now < self._batch.closes_at:
            return
        self._batch = None
        nodes = [machine.seen() for machine in self.machines.values() if not machine.is_deleting]
        plan = provision([pod.view for pod in self.pending.values()], nodes, self._current_pools())
        for name, node in plan.nominations.items():
            self._nominated[name] = node
            self._nominate(self.machines[node], self._calendar.now)
        launched = [self._launch(node) for node in plan.new_nodes]
        self._tell_launched(launched, [len(node.pods) for node in plan.new_nodes])
        if plan.unschedulable:
            self._tell_stuck(len(plan.unschedulable), next(iter(plan.unschedulable.values())))
        else:
            self._stuck = ""

    def _current_pools(self) -> list[Pool]:
        used: dict[str, Amounts] = {}
        counts = Counter[str]()
        for machine in self.machines.values():
            if machine.pool is not None:
                used[machine.pool.name] = used.get(machine.pool.name, Amounts()).plus(machine.kind.capacity)
                counts[machine.pool.name] += 1
        return [
            msgspec.structs.replace(pool, in_use=used.get(name, Amounts()), nodes=counts[name])
            if pool.manifest.spec.limits
            else pool
            for name, pool in self._pools.items()
        ]

    def _nominate(self, machine: Machine, at: float) -> None:
        machine.nominated_until = max(machine.nominated_until, at + NOMINATION_SECONDS)
        machine.view = None

    def _launch(self, node: NewNode) -> Machine:
        kind, offering = node.choice()
        pool = self._pools[node.pool]
        self._made[node.pool] += 1
        name = f"{node.pool}-{self._made[node.pool]:05}"
        labels = node_labels(node, kind, offering, pool)
        now = self._calendar.now
        machine = Machine(name, pool, kind, offering, labels, now)
        ready_at = now + self._scenario.registration_seconds[node.pool]
        # It stays chosen for its pods until they have had time to be bound.
        self._nominate(machine, ready_at)
        self.machines[name] = machine
        self.most = max(self.most, len(self.machines))
        self._nominated.update((pod.name, name) for pod in node.pods)
        self._calendar.at(ready_at, _call(self._join, machine))
        if pool.expire_after_seconds < math.inf:
            self._calendar.after(pool.expire_after_seconds, _call(self._expire, machine))
        self._changed_at = now
        return machine

    def _join(self, machine: Machine) -> None:
        machine.is_ready = True
        self._touch(machine)
        for name in [name for name, node in self._nominated.items() if node == machine.name]:
            del self._nominated[name]
        self._want_placing()

    def _tell_launched(self, machines: Sequence[Machine], pods: Sequence[int]) -> None:
        groups: dict[tuple[str, str, str], list[int]] = {}
        for machine, count in zip(machines, pods, strict=True):
            pool = machine.pool.name if machine.pool else ""
            groups.setdefault((pool, machine.kind.name, machine.capacity_type), []).append(count)
        for (pool, kind, capacity_type), counts in groups.items():
            noun = "node" if len(counts) == 1 else "nodes"
            waiting = f"{sum(counts)} pods fit" if sum(counts) > 1 else "a pod fits"
            why = f"{waiting} nowhere; {kind} is the cheapest that takes {max(counts)} at once"
            self._tell("Karpenter", f"{pool}: {len(counts)} new {noun}, {kind} {capacity_type}", why)

    def _tell_stuck(self, count: int, reason: str) -> None:
        if reason != self._stuck:
            self._stuck = reason
            self._tell("Karpenter", f"{count} pods stay pending", reason)

    # Disruption.

    def _round(self) -> None:
        if self._is_validating or not self.machines or not self._is_worth_a_look():
            return
        view = self._view()
        found = disruption.decide(view)
        for method in found.idle:
            self._idle_since[method] = self._calendar.now
        if found.command is not None:
            self._is_validating = True
            self._calendar.after(disruption.VALIDATION_SECONDS, _call(self._validate, found.command))

    def _is_worth_a_look(self) -> bool:
        """Tell whether a round could find anything: most rounds of a day cannot."""
        now = self._calendar.now
        for machine in self.machines.values():
            if not machine.pods and machine.is_ready and not machine.is_deleting:
                return True
        if all(p.manifest.spec.disruption.consolidation_policy == "WhenEmpty" for p in self._pools.values()):
            return False
        return any(
            now - since >= disruption.REVALIDATION_SECONDS or since < self._changed_at
            for since in (self._idle_since.get(method, -math.inf) for method in ("multi-node", "single-node"))
        )

    def _view(self) -> disruption.ClusterView:
        held = {id(workload) for workload in self.workloads if self._evictable(workload) == 0}
        nodes = [machine.seen() for machine in self.machines.values()]
        if held:
            nodes = [self._with_held(machine, held) for machine in self.machines.values()]
        return disruption.ClusterView(
            nodes=nodes,
            pools={pool.name: pool for pool in self._current_pools()},
            now=self._calendar.now,
            pending=[pod.view for pod in self.pending.values()],
            changed_at=self._changed_at,
            idle_since=self._idle_since,
        )

    @staticmethod
    def _with_held(machine: Machine, held: set[int]) -> NodeView:
        """Return a node as policies see it while budgets let no pod of some workloads go."""
        view = machine.seen()
        if not any(id(pod.workload) in held for pod in machine.pods.values()):
            return view
        pods = tuple(
            msgspec.structs.replace(pod.view, is_evictable=id(pod.workload) not in held)
            for pod in machine.pods.values()
        )
        return msgspec.structs.replace(view, pods=pods)

    def _evictable(self, workload: Workload) -> float:
        """Return how many pods of a workload PodDisruptionBudgets let go now."""
        sample = BudgetedPod("", workload.plan.namespace, workload.plan.demand.labels)
        concerned = [budget for budget in self._scenario.budgets if selects(budget, sample)]
        if not concerned:
            return math.inf
        return min(self._allowed(budget, workload) for budget in concerned)

    @staticmethod
    def _allowed(budget: PodDisruptionBudget, workload: Workload) -> int:
        labels, namespace = workload.plan.demand.labels, workload.plan.namespace
        pods = [BudgetedPod(name, namespace, labels, pod.is_ready) for name, pod in workload.pods.items()]
        return allowance(budget, pods, len(workload.pods)).disruptions_allowed

    def _validate(self, command: disruption.Command) -> None:
        self._is_validating = False
        if not disruption.is_still_valid(command, self._view()):
            return
        machines = [self.machines[name] for name in command.nodes]
        for machine in machines:
            machine.is_deleting, machine.reason = True, command.reason
            machine.view = None
        self._changed_at = self._calendar.now
        launched = [self._launch(node) for node in command.replacements]
        noun = "node goes" if len(machines) == 1 else "nodes go"
        instead = f", {launched[0].kind.name} instead" if launched else ""
        self._tell("Karpenter", f"{len(machines)} {noun} ({command.reason.lower()}){instead}", command.why)
        delay = max((self._scenario.registration_seconds[node.pool] for node in command.replacements), default=0.0)
        for machine in machines:
            self._calendar.after(delay, _call(self._drain, machine))

    def _expire(self, machine: Machine) -> None:
        if machine.name in self.machines and not machine.is_deleting:
            machine.is_deleting, machine.reason = True, "Expired"
            machine.view = None
            self._tell("Karpenter", f"{machine.name} goes (expired)", "expireAfter is over; budgets have no say")
            self._drain(machine)

    def _drain(self, machine: Machine) -> None:
        if machine.name not in self.machines:
            return
        machine.is_draining = True
        if not machine.pods:
            self._calendar.after(_TERMINATION_SECONDS, _call(self._delete, machine))
            return
        held = False
        for workload in self.workloads:
            ours = [pod for pod in machine.pods.values() if pod.workload is workload and pod.view.name in workload.pods]
            allowed = self._evictable(workload)
            going = ours if allowed == math.inf else ours[: int(allowed)]
            held = held or len(going) < len(ours)
            if going:
                self.evictions[machine.reason] += len(going)
                workload.leave(going)
                workload.replace_missing()
        if held:
            self._calendar.after(_DRAIN_RETRY_SECONDS, _call(self._drain, machine))

    def _delete(self, machine: Machine) -> None:
        if self.machines.pop(machine.name, None) is None:
            return
        self.removals[machine.reason] += 1
        self._bill(machine)
        self._changed_at = self._calendar.now
        if not self.machines:
            self._tell("Karpenter", "no node is left", "")
        if self.pending:
            # What limits held back may fit now.
            self._want_placing()

    # Money.

    def costs(self) -> tuple[PoolCost, ...]:
        """Return what all nodes have cost so far, those that still run too."""
        spent = dict(self._spent)
        for machine in self.machines.values():
            self._bill(machine)
        found = tuple(PoolCost(*key, hours, dollars) for key, (hours, dollars) in sorted(self._spent.items()))
        self._spent = spent
        return found

    def _bill(self, machine: Machine) -> None:
        hours = (self._calendar.now - machine.created_at) / 3600
        key = (machine.pool.name if machine.pool else "", machine.kind.name, machine.capacity_type)
        before = self._spent.get(key, (0.0, 0.0))
        self._spent[key] = (before[0] + hours, before[1] + hours * machine.offering.price)


def _is_leaving(pod: Pod) -> bool:
    return pod.view.name not in pod.workload.pods


def _call(action: Callable[..., None], argument: object) -> Callable[[], None]:
    return lambda: action(argument)


def _ready(workload: Workload, pods: Sequence[Pod]) -> Callable[[], None]:
    return lambda: workload.ready_up(pods)
