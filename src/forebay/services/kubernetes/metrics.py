"""`metrics.k8s.io`: what `kubectl top` shows, from the meters of the pods' processes."""

from forebay.scaling.cluster.cluster import Cluster
from forebay.scaling.cluster.kinds import NODES, PODS, Object
from forebay.scaling.cluster.objects import instant, labels_of, name_of, namespace_of, uid_of

_WINDOW = "15s"


def pod_metrics(cluster: Cluster, namespace: str) -> list[Object]:
    """Return the usage of the pods that run here."""
    found: list[Object] = []
    for pod in cluster.objects.index.all(PODS, namespace):
        samples = cluster.meters.samples.get(uid_of(pod))
        if not samples:
            continue
        containers = [
            {"name": name, "usage": _usage(sample.cpu_milli, sample.memory_bytes)} for name, sample in samples.items()
        ]
        at = max(sample.at for sample in samples.values())
        head = {"name": name_of(pod), "namespace": namespace_of(pod), "creationTimestamp": instant(at)}
        metadata = {**head, "labels": dict(labels_of(pod))}
        found.append({"metadata": metadata, "timestamp": instant(at), "window": _WINDOW, "containers": containers})
    return found


def node_metrics(cluster: Cluster) -> list[Object]:
    """Return the usage of nodes: that of their pods."""
    totals = {name_of(node): [0, 0] for node in cluster.objects.index.all(NODES)}
    for pod in cluster.objects.index.all(PODS):
        total = totals.get(pod["spec"].get("nodeName") or "", [0, 0])
        for sample in cluster.meters.samples.get(uid_of(pod), {}).values():
            total[0] += sample.cpu_milli
            total[1] += sample.memory_bytes
    now = instant(cluster.world.now())
    return [
        {
            "metadata": {
                "name": name_of(node),
                "creationTimestamp": now,
                "labels": dict(labels_of(node)),
            },
            "timestamp": now,
            "window": _WINDOW,
            "usage": _usage(*totals[name_of(node)]),
        }
        for node in cluster.objects.index.all(NODES)
    ]


def _usage(cpu_milli: int, memory_bytes: int) -> Object:
    return {"cpu": f"{cpu_milli}m", "memory": f"{memory_bytes >> 10}Ki"}
