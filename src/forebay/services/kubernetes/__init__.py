"""Kubernetes' API, as far as event-driven scaling needs it, before the local cluster in `forebay.scaling.cluster`.

Reading order: `server` (who may ask, and who answers), `ask` (a request taken apart), `discovery`, `openapi`,
`reads` (get, list, watch), `writes` (create, update, patch, delete), `scales`, `logs`, `tables` (what kubectl prints).

Left out on purpose: kinds that no part of scaling uses (Services, Ingresses, volumes and so on do not exist here, and
the API says so), `exec`, `attach` and `port-forward`, roles (who has a key may do everything), and protobuf.
"""

from forebay.core.shapes import ServiceModel
from forebay.operations.platform import Platform
from forebay.operations.service import Parts, Service
from forebay.scaling.cluster.cluster import open_cluster
from forebay.scaling.cluster.kinds import NODE_METRICS, POD_METRICS
from forebay.services.kubernetes.evictions import create_eviction
from forebay.services.kubernetes.metrics import node_metrics, pod_metrics
from forebay.services.kubernetes.pod_logs import LogReader
from forebay.services.kubernetes.server import ApiServer, Subresource, Virtual

MODEL = ServiceModel(
    name="kubernetes",
    service_id="Kubernetes",
    signing_name="kubernetes",
    endpoint_prefix="kubernetes",
    api_version="v1",
    protocols=("rest-json",),
    operations={},
)


async def build(platform: Platform) -> Parts:
    """Open the cluster and its API."""
    cluster = await open_cluster(platform)
    logs = LogReader(cluster.objects, platform.clock)
    subresources: dict[str, Subresource] = {
        "log": logs.read,
        "eviction": lambda ask: create_eviction(cluster.world, ask),
    }
    virtual: dict[str, Virtual] = {
        POD_METRICS.id: lambda namespace: pod_metrics(cluster, namespace),
        NODE_METRICS.id: lambda _namespace: node_metrics(cluster),
    }
    server = ApiServer(platform, cluster.objects, subresources, virtual)
    return Parts(
        ingress=server,
        duties=cluster.duties,
        shared=(cluster,),
        drain=(server.drain, logs.drain, cluster.drain),
        close=(cluster.close,),
    )


SERVICE = Service("kubernetes", MODEL, (), build, ("kubernetes",))
