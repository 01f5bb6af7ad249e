"""`forebay scale watch`: queues, pods, nodes and cost as they move, in one picture that is drawn again every second."""

import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep  # noqa: TID251 - the user's side of the wire, not the node's
from typing import Any, cast

import click

from forebay.cli.client import Endpoint, endpoint_options
from forebay.cli.cluster_client import ask_cluster
from forebay.cli.cluster_picture import Picture, Queue, Workload, draw

_HISTORY = 240
_PRICE = "eks-node-viewer/instance-price"
_COUNTS = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}
_EVENTS = 6


@click.command()
@click.option("--namespace", "-n", default="", help="Only what lies in this namespace.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between two pictures.")
@click.option("--once", is_flag=True, help="Draw one picture and end.")
@endpoint_options
def watch(*, namespace: str, interval: float, once: bool, endpoint: str, region: str, account: str) -> None:
    """Watch the local cluster scale: what waits, what works on it, on which nodes, and what it costs."""
    watcher = Watcher(Endpoint(endpoint, region, account), namespace)
    if once:
        click.echo(draw(watcher.look(), shutil.get_terminal_size().columns))
        return
    try:
        click.echo("\x1b[?25l\x1b[2J", nl=False)
        while True:
            picture = draw(watcher.look(), shutil.get_terminal_size().columns)
            lines = "".join(f"{line}\x1b[K\n" for line in picture.splitlines())
            click.echo(f"\x1b[H{lines}\x1b[J", nl=False)
            sleep(interval)
    except KeyboardInterrupt:
        pass
    finally:
        click.echo("\x1b[?25h", nl=False)


@dataclass
class Watcher:
    """Looks at the cluster, and remembers what it saw for the curves and the bill."""

    endpoint: Endpoint
    namespace: str
    cost: float = 0.0
    _last: float | None = None
    _depths: dict[str, deque[int]] = field(default_factory=dict[str, "deque[int]"])
    _pods: dict[str, deque[int]] = field(default_factory=dict[str, "deque[int]"])
    _nodes: deque[int] = field(default_factory=lambda: deque[int](maxlen=_HISTORY))
    _client: Any = None

    def look(self) -> Picture:
        """Return what there is now."""
        scope = f"/namespaces/{self.namespace}" if self.namespace else ""
        objects = self._list(f"/apis/keda.sh/v1alpha1{scope}/scaledobjects")
        jobs = self._list(f"/apis/keda.sh/v1alpha1{scope}/scaledjobs")
        pods = self._list(f"/api/v1{scope}/pods")
        nodes = self._list("/api/v1/nodes")
        claims = self._list("/apis/karpenter.sh/v1/nodeclaims")
        events = self._list(f"/api/v1{scope}/events")
        autoscalers = self._list(f"/apis/autoscaling/v2{scope}/horizontalpodautoscalers")
        rate = sum(_price(claim) for claim in claims)
        now = monotonic()
        if self._last is not None:
            self.cost += rate * (now - self._last) / 3600
        self._last = now
        self._nodes.append(len(claims))
        workloads = [self._workload(each, pods, autoscalers) for each in (*objects, *jobs)]
        recent = sorted(events, key=lambda each: each.get("lastTimestamp") or "")[-_EVENTS:]
        return Picture(self.endpoint.url, workloads, pods, nodes, claims, recent, rate, self.cost, list(self._nodes))

    def _list(self, path: str) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", ask_cluster(self.endpoint, path)["items"])

    def _workload(
        self, thing: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], autoscalers: Sequence[Mapping[str, Any]]
    ) -> Workload:
        metadata, spec = thing["metadata"], thing["spec"]
        name, namespace = metadata["name"], metadata["namespace"]
        is_job = "jobTargetRef" in spec
        mine = [pod for pod in pods if pod["metadata"]["namespace"] == namespace and _is_of(pod, thing, is_job=is_job)]
        running = sum(1 for pod in mine if pod["status"].get("phase") == "Running")
        key = f"{namespace}/{name}"
        history = self._pods.setdefault(key, deque(maxlen=_HISTORY))
        history.append(running)
        queues = [self._queue(trigger) for trigger in spec.get("triggers") or () if "queueURL" in trigger["metadata"]]
        status: Mapping[str, Any] = thing.get("status") or {}
        target = status.get("hpaName")
        hpa = next((each for each in autoscalers if each["metadata"]["name"] == target), None)
        return Workload(
            key,
            "ScaledJob" if is_job else "ScaledObject",
            thing,
            mine,
            hpa,
            [queue for queue in queues if queue is not None],
            list(history),
        )

    def _queue(self, trigger: Mapping[str, Any]) -> Queue | None:
        metadata = trigger["metadata"]
        url = metadata["queueURL"]
        if self._client is None:
            self._client = self.endpoint.client("sqs")
        try:
            found = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS.values()))
        except Exception:  # noqa: BLE001 - a queue that is not there (yet) is drawn as such
            return Queue(url.rsplit("/", 1)[-1], None, [])
        counts = {name: int(found["Attributes"][attribute]) for name, attribute in _COUNTS.items()}
        history = self._depths.setdefault(url, deque(maxlen=_HISTORY))
        history.append(counts["visible"] + counts["in_flight"])
        return Queue(url.rsplit("/", 1)[-1], counts, list(history))


def _is_of(pod: Mapping[str, Any], thing: Mapping[str, Any], *, is_job: bool) -> bool:
    if is_job:
        return pod["metadata"].get("labels", {}).get("scaledjob.keda.sh/name") == thing["metadata"]["name"]
    target = thing["spec"]["scaleTargetRef"]["name"]
    owners: Sequence[Mapping[str, Any]] = pod["metadata"].get("ownerReferences") or []
    return any(owner["kind"] == "ReplicaSet" and owner["name"].rpartition("-")[0] == target for owner in owners)


def _price(claim: Mapping[str, Any]) -> float:
    return float(claim["metadata"].get("labels", {}).get(_PRICE, 0))
