"""The values of fields that a manifest leaves out, as the API server and the custom kinds' schemas set them.

They are written into the object, as in a cluster: what is read back says what holds. Pure; each function changes the
object that it is given. (Kubernetes API reference; Karpenter's custom resource definitions.)
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, cast

from forebay.scaling.cluster import kinds
from forebay.scaling.cluster.kinds import EMPTY, Object, Resource

_UP_POLICIES = (
    {"type": "Pods", "value": 4, "periodSeconds": 15},
    {"type": "Percent", "value": 100, "periodSeconds": 15},
)
_DOWN_POLICIES = ({"type": "Percent", "value": 100, "periodSeconds": 15},)
_JOB_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
_JOB_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def set_defaults(resource: Resource, thing: Object) -> None:
    """Fill in what the manifest leaves out."""
    rule = _RULES.get(resource.id)
    if rule is not None:
        rule(thing)


def _fill(target: Object, **values: Any) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = value


def _deployment(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    strategy = spec["strategy"]
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, rollingUpdate={})
        _fill(strategy["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")
    template_defaults(spec)


def _replica_set(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    _fill(spec, replicas=1)
    template_defaults(spec)


def _job(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    job_defaults(spec)
    template_defaults(spec)
    uid = thing["metadata"].get("uid")
    if uid and not spec.get("manualSelector") and "selector" not in spec:
        spec["selector"] = {"matchLabels": {_JOB_LABELS[0]: uid}}
        marks = dict.fromkeys(_JOB_LABELS, uid) | dict.fromkeys(_JOB_NAME_LABELS, thing["metadata"].get("name", ""))
        metadata = spec["template"].setdefault("metadata", {})
        metadata["labels"] = (metadata.get("labels") or EMPTY) | marks


def job_defaults(spec: Object) -> None:
    """Fill in what a job's spec leaves out, but for its pods."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _fill(spec, parallelism=1, completionMode="NonIndexed", suspend=False, manualSelector=None)
    _fill(spec, backoffLimit=6, podReplacementPolicy="TerminatingOrFailed")
    if spec["manualSelector"] is None:
        del spec["manualSelector"]


def template_defaults(spec: Object) -> None:
    """Fill in what a pod template leaves out."""
    template = spec.get("template")
    if isinstance(template, dict):
        pod_defaults(cast("Object", template).setdefault("spec", {}))


def _pod(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    pod_defaults(spec)
    _fill(spec, enableServiceLinks=True, serviceAccountName="default", preemptionPolicy="PreemptLowerPriority")
    _fill(thing.setdefault("status", {}), phase="Pending", qosClass=_quality(spec))


def pod_defaults(spec: Object) -> None:
    """Fill in what a pod's spec leaves out."""
    _fill(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", terminationGracePeriodSeconds=30)
    _fill(spec, securityContext={}, schedulerName="default-scheduler")
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if isinstance(container, dict):
            _container(cast("Object", container))
    for volume in cast("list[Object]", spec.get("volumes") or []):
        for source in ("secret", "configMap"):
            if isinstance(volume.get(source), dict):
                _fill(volume[source], defaultMode=420)


def _container(container: Object) -> None:
    image = str(container.get("image") or "")
    tag = image.rpartition("/")[2].partition(":")[2]
    is_latest = "@" not in image and tag in {"", "latest"}
    _fill(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File", resources={})
    _fill(container, imagePullPolicy="Always" if is_latest else "IfNotPresent")
    resources = cast("Object", container["resources"])
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or EMPTY)}
    for port in cast("list[Object]", container.get("ports") or []):
        _fill(port, protocol="TCP")
    for variable in cast("list[Object]", container.get("env") or []):
        reference = (variable.get("valueFrom") or EMPTY).get("fieldRef")
        if isinstance(reference, dict):
            _fill(cast("Object", reference), apiVersion="v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if isinstance(probe, dict):
            _probe(cast("Object", probe))


def _probe(probe: Object) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if isinstance(probe.get("httpGet"), dict):
        _fill(probe["httpGet"], scheme="HTTP", path="/")


def _quality(spec: Object) -> str:
    resources = [
        container.get("resources") or EMPTY for container in cast("list[Object]", spec.get("containers") or [])
    ]
    if not any(each.get("requests") or each.get("limits") for each in resources):
        return "BestEffort"
    for each in resources:
        limits = each.get("limits") or EMPTY
        if set(limits) < {"cpu", "memory"} or (each.get("requests") or limits) != limits:
            return "Burstable"
    return "Guaranteed"


def _autoscaler(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    _fill(spec, minReplicas=1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if isinstance(behavior, dict):
        fill_behavior(cast("Object", behavior))


def fill_behavior(behavior: Object) -> None:
    """Fill in both directions of an autoscaler's behaviour."""
    _fill(behavior, scaleUp={}, scaleDown={})
    _fill(
        behavior["scaleUp"], stabilizationWindowSeconds=0, selectPolicy="Max", policies=[dict(p) for p in _UP_POLICIES]
    )
    _fill(behavior["scaleDown"], selectPolicy="Max", policies=[dict(p) for p in _DOWN_POLICIES])


def _namespace(thing: Object) -> None:
    _fill(thing, spec={}, status={})
    _fill(thing["spec"], finalizers=["kubernetes"])
    _fill(thing["status"], phase="Active")
    name = thing["metadata"].get("name", "")
    thing["metadata"]["labels"] = (thing["metadata"].get("labels") or EMPTY) | {"kubernetes.io/metadata.name": name}


def _secret(thing: Object) -> None:
    _fill(thing, type="Opaque")
    texts = thing.pop("stringData", None)
    if texts:
        encoded = {name: base64.b64encode(str(text).encode()).decode() for name, text in texts.items()}
        thing["data"] = (thing.get("data") or EMPTY) | encoded


def _priority_class(thing: Object) -> None:
    _fill(thing, preemptionPolicy="PreemptLowerPriority")


def _node_pool(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    _fill(spec, disruption={})
    _fill(spec["disruption"], consolidateAfter="0s", consolidationPolicy="WhenEmptyOrUnderutilized")
    _fill(spec["disruption"], budgets=[{"nodes": "10%"}])
    template = cast("Object", spec.get("template") or EMPTY)
    if isinstance(template.get("spec"), dict):
        _fill(template["spec"], expireAfter="720h")


def _ec2_node_class(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    _fill(spec, metadataOptions={})
    _fill(spec["metadataOptions"], httpEndpoint="enabled", httpProtocolIPv6="disabled")
    _fill(spec["metadataOptions"], httpPutResponseHopLimit=1, httpTokens="required")


def _scaled_job(thing: Object) -> None:
    spec = thing.setdefault("spec", {})
    target = cast("Object", spec.get("jobTargetRef") or EMPTY)
    pod = cast("Object", (target.get("template") or EMPTY).get("spec") or EMPTY)
    if pod and not pod.get("restartPolicy"):
        # KEDA sets it where it makes the job (its scale executor), because a job takes no Always.
        pod["restartPolicy"] = "OnFailure"


_RULES: Mapping[str, Callable[[Object], None]] = {
    kinds.DEPLOYMENTS.id: _deployment,
    kinds.REPLICA_SETS.id: _replica_set,
    kinds.JOBS.id: _job,
    kinds.PODS.id: _pod,
    kinds.AUTOSCALERS.id: _autoscaler,
    kinds.NAMESPACES.id: _namespace,
    kinds.SECRETS.id: _secret,
    kinds.PRIORITY_CLASSES.id: _priority_class,
    kinds.NODE_POOLS.id: _node_pool,
    kinds.EC2_NODE_CLASSES.id: _ec2_node_class,
    kinds.SCALED_JOBS.id: _scaled_job,
}
