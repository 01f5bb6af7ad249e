"""The machine itself as a node. Where a node pool exists it takes no pods, so that they go where the pool says."""

import platform as machine

from forebay.scaling.cluster.kinds import NODE_POOLS, NODES, Object
from forebay.scaling.cluster.objects import Index
from forebay.scaling.cluster.views import machine_capacity
from forebay.scaling.cluster.world import World, set_conditions
from forebay.scaling.policies.outcome import Condition

NAME = "forebay"
KUBELET_VERSION = "v1.34.0"
_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


class LocalNode:
    """Keeps the machine's own node. A `Worker`."""

    name = "kubernetes.local_node"

    def __init__(self, world: World) -> None:
        self._world = world

    @staticmethod
    def is_settled(index: Index) -> bool:
        """Return whether the node's taint is in step with the pools: before, no pod is to be placed."""
        node = index.find(NODES, "", NAME)
        taints: list[Object] = [] if node is None else node["spec"].get("taints") or []
        return node is not None and (_TAINT in taints) == bool(index.all(NODE_POOLS))

    async def run_once(self) -> float:
        """Make the node, and keep its taint in step with whether there are pools."""
        node = self._world.index.find(NODES, "", NAME)
        if node is None:
            await self._world.objects.create(NODES, [self._made()])
            return 0.0
        taints = [dict(_TAINT)] if self._world.index.all(NODE_POOLS) else []
        others = [each for each in node["spec"].get("taints") or () if each["key"] != _TAINT["key"]]
        wanted = [*others, *taints]
        if (node["spec"].get("taints") or []) != wanted:

            def change(thing: Object) -> None:
                thing["spec"]["taints"] = wanted
                if not wanted:
                    del thing["spec"]["taints"]

            await self._world.objects.change(NODES, node, change)
        return float("inf")

    def _made(self) -> Object:
        now = self._world.now()
        status: Object = {"capacity": machine_capacity(), "allocatable": machine_capacity()}
        status |= node_details(NAME)
        set_conditions(status, ready_conditions(), now)
        labels = {
            "kubernetes.io/hostname": NAME,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture(),
            "node-role.kubernetes.io/control-plane": "",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NAME, "labels": labels},
            "spec": {"providerID": f"forebay://{NAME}"},
            "status": status,
        }


def architecture() -> str:
    """Return the machine's architecture in Kubernetes' words."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine.machine(), machine.machine())


def node_details(name: str) -> Object:
    """Return the parts of a node's status that are the same for all nodes here."""
    info = {
        "architecture": architecture(),
        "operatingSystem": "linux",
        "osImage": "Forebay",
        "kernelVersion": machine.release(),
        "containerRuntimeVersion": "process://1",
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
        "machineID": name,
        "systemUUID": name,
        "bootID": name,
    }
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}]
    return {"nodeInfo": info, "addresses": addresses}


def ready_conditions() -> list[Condition]:
    """Return the conditions of a node that is well."""
    pressures = ("Memory", "Disk", "PID")
    found = [
        Condition(
            f"{name}Pressure",
            "False",
            f"KubeletHasSufficient{name}" if name != "Disk" else "KubeletHasNoDiskPressure",
            f"kubelet has sufficient {name.lower()} available" if name != "Disk" else "kubelet has no disk pressure",
        )
        for name in pressures
    ]
    return [*found, Condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")]
