"""Known mistakes with ScaledObjects, ScaledJobs, and the HPA that KEDA writes."""

from collections.abc import Iterator

from forebay.scaling.lint.finding import Finding, Rule
from forebay.scaling.lint.setting import Setting
from forebay.scaling.manifests.keda import ScaledJob, ScaledObject, Trigger
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.scaled_object import is_paused
from forebay.scaling.policies.scaling_modifiers import read_modifiers
from forebay.scaling.policies.sqs_metric import parse_queue_name, read_sqs_trigger

_COOLDOWN_DEFAULT = 300
_SLOW_POLL_SECONDS = 30
_ALWAYS_ACTIVE = frozenset({"cpu", "memory"})
_NOT_CACHED = frozenset({"cpu", "memory", "cron"})


def _of(item: ScaledObject | ScaledJob) -> str:
    return f"{item.kind}/{item.metadata.name}"


def _triggers(setting: Setting) -> Iterator[tuple[ScaledObject | ScaledJob, Trigger]]:
    for item in (*setting.scaled_objects, *setting.scaled_jobs):
        for trigger in item.spec.triggers:
            yield item, trigger


def _cooldown(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        spec = item.spec
        minimum = spec.min_replica_count or 0
        if minimum > 0 and spec.idle_replica_count is None and spec.cooldown_period != _COOLDOWN_DEFAULT:
            text = f"cooldownPeriod {spec.cooldown_period} does nothing while minReplicaCount is {minimum}"
            advice = (
                "it only delays the step to zero; between replicas it is the HPA's "
                "behavior.scaleDown.stabilizationWindowSeconds (300 by default) that waits"
            )
            yield Finding(_of(item), text, advice)


def _accurate(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_jobs:
        for trigger in item.spec.triggers:
            strategy = item.spec.scaling_strategy.strategy
            if trigger.type == "aws-sqs-queue" and strategy == "accurate" and _counts_in_flight(trigger):
                text = "strategy accurate with scaleOnInFlight counts messages twice that a job works on"
                advice = 'set scaleOnInFlight: "false" on the trigger, or use strategy default'
                yield Finding(_of(item), text, advice)
            if trigger.type == "aws-sqs-queue" and strategy == "default" and not _counts_in_flight(trigger):
                text = (
                    "strategy default takes running jobs off a count that leaves their messages out: too few are made"
                )
                advice = "set scaleOnInFlight to true, or use strategy accurate"
                yield Finding(_of(item), text, advice)


def _counts_in_flight(trigger: Trigger) -> bool:
    try:
        return read_sqs_trigger({"queueURL": "any", **trigger.metadata}).counts_in_flight
    except InvalidManifest:
        return True


def _bounds(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        spec = item.spec
        minimum = spec.min_replica_count or 0
        if minimum > spec.max_replica_count:
            yield Finding(
                _of(item), f"MinReplicaCount={minimum} must be less than MaxReplicaCount={spec.max_replica_count}"
            )
        if spec.idle_replica_count is not None and spec.idle_replica_count >= minimum:
            yield Finding(
                _of(item), f"IdleReplicaCount={spec.idle_replica_count} must be less than MinReplicaCount={minimum}"
            )


def _idle(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        if item.spec.idle_replica_count:
            text = f"idleReplicaCount {item.spec.idle_replica_count} is fought over by KEDA and the HPA"
            yield Finding(_of(item), text, "only 0 works: the HPA leaves a workload alone at 0 replicas only")


def _queue_url(setting: Setting) -> Iterator[Finding]:
    for item, trigger in _triggers(setting):
        url = trigger.metadata.get("queueURL", "")
        if trigger.type != "aws-sqs-queue" or not url:
            continue
        try:
            parse_queue_name(url)
        except InvalidManifest as error:
            advice = "KEDA takes scheme://host/account/name, or the bare name of the queue"
            yield Finding(_of(item), f"queueURL {url}: {error}", advice)


def _metadata(setting: Setting) -> Iterator[Finding]:
    for item, trigger in _triggers(setting):
        if trigger.type != "aws-sqs-queue":
            continue
        environment = {trigger.metadata.get("queueURLFromEnv", ""): "any"}
        try:
            url = "any" if trigger.metadata.get("queueURL") else ""
            read_sqs_trigger({**trigger.metadata, "queueURL": url}, environment)
        except InvalidManifest as error:
            yield Finding(_of(item), f"trigger aws-sqs-queue: {error}")
        if not trigger.metadata.get("awsRegion") and trigger.authentication_ref is None:
            yield Finding(_of(item), "trigger aws-sqs-queue: awsRegion is required")


def _credentials(setting: Setting) -> Iterator[Finding]:
    known = setting.authentications
    for item, trigger in _triggers(setting):
        reference = trigger.authentication_ref
        if reference is not None and (reference.kind, reference.name) not in known:
            yield Finding(_of(item), f"{reference.kind}/{reference.name} is not among the manifests")
        own = {"awsAccessKeyIDFromEnv", "awsRoleArn"} & trigger.metadata.keys()
        operator = trigger.metadata.get("identityOwner") == "operator"
        if trigger.type == "aws-sqs-queue" and reference is None and not own and not operator:
            advice = (
                "give an authenticationRef (secretTargetRef of awsAccessKeyID and awsSecretAccessKey, or podIdentity)"
            )
            yield Finding(_of(item), "trigger aws-sqs-queue has no credentials: awsAccessKeyID not found", advice)


def _fallback(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        external = [trigger for trigger in item.spec.triggers if trigger.type not in _ALWAYS_ACTIVE]
        if external and item.spec.fallback is None:
            text = "without a fallback an error of a trigger freezes the number of replicas, in both directions"
            yield Finding(_of(item), text, "set fallback.failureThreshold and fallback.replicas")


def _reads(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        for trigger in item.spec.triggers:
            if trigger.type in _NOT_CACHED:
                if trigger.use_cached_metrics:
                    yield Finding(_of(item), f"useCachedMetrics is refused for {trigger.type}")
            elif not trigger.use_cached_metrics:
                text = f"trigger {trigger.type} is read at each poll and again at each of the HPA's syncs (4 a minute)"
                yield Finding(_of(item), text, "set useCachedMetrics: true with a pollingInterval of 5 to 10")
            elif item.spec.polling_interval >= _SLOW_POLL_SECONDS:
                text = f"with useCachedMetrics the HPA sees values that are up to {item.spec.polling_interval} s old"
                yield Finding(_of(item), text, "set pollingInterval to 5 to 10")


def _cold_start(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        pushed = any(trigger.type == "external-push" for trigger in item.spec.triggers)
        waits = item.spec.polling_interval >= _SLOW_POLL_SECONDS
        if not pushed and waits and not item.spec.min_replica_count:
            text = f"the first message at zero replicas waits for up to {item.spec.polling_interval} s"
            yield Finding(_of(item), text, "use external-push (no wait), or a pollingInterval of 5 to 10")


def _jump_to_zero(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        advanced = item.spec.advanced
        config = advanced.horizontal_pod_autoscaler_config if advanced else None
        down = config.behavior.scale_down if config and config.behavior else None
        window = 300 if down is None or down.stabilization_window_seconds is None else down.stabilization_window_seconds
        hasty = item.spec.cooldown_period <= window
        if down is not None and down.policies and hasty and not item.spec.min_replica_count:
            text = "behavior.scaleDown.policies do not hold for the step to zero: KEDA takes it from any number at once"
            yield Finding(
                _of(item), text, f"set cooldownPeriod well above the {window} s after which the HPA begins to come down"
            )


def _two_masters(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        for other in setting.hpas:
            if other.spec.scale_target_ref.name == item.spec.scale_target_ref.name:
                target = item.spec.scale_target_ref
                text = (
                    f"the workload '{target.name}' of type '{target.api_version}.{target.kind}' is already managed by "
                    f"the hpa '{other.metadata.name}'"
                )
                yield Finding(_of(item), text, "remove the HPA: KEDA writes its own")


def _never_zero(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        only = all(trigger.type in _ALWAYS_ACTIVE for trigger in item.spec.triggers)
        if only and not item.spec.min_replica_count:
            text = "cpu and memory are always active: this never goes to zero"
            yield Finding(_of(item), text, "set minReplicaCount to 1, or add a trigger that can be inactive")


def _target(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        target = item.spec.scale_target_ref
        deployment = setting.deployment(target.name, item.metadata.namespace)
        if target.kind != "Deployment":
            continue
        if deployment is None:
            yield Finding(_of(item), f"its target Deployment/{target.name} is not among the manifests")
        elif deployment.spec.replicas is not None:
            text = (
                f"spec.replicas: {deployment.spec.replicas} takes the number back at each apply, against the autoscaler"
            )
            yield Finding(f"Deployment/{target.name}", text, "leave spec.replicas out")


def _first_poll(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        deployment = setting.deployment(item.spec.scale_target_ref.name, item.metadata.namespace)
        starts = deployment.spec.replicas if deployment is not None else None
        if starts and not item.spec.min_replica_count and not item.spec.initial_cooldown_period:
            text = f"the {starts} replicas that the Deployment starts with go at the first poll if the queue is empty"
            yield Finding(_of(item), text, "set initialCooldownPeriod if they are to stay for a while")


def _job_push(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_jobs:
        if any(trigger.type == "external-push" for trigger in item.spec.triggers):
            yield Finding(_of(item), "external-push is not supported for ScaledJobs", "use external")


def _formula(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        try:
            read_modifiers(item)
        except InvalidManifest as error:
            yield Finding(_of(item), str(error))


def _paused(setting: Setting) -> Iterator[Finding]:
    for item in setting.scaled_objects:
        if is_paused(item.metadata.annotations):
            yield Finding(_of(item), "it is paused by an annotation: nothing scales", "remove the annotation")


RULES = (
    Rule(
        "cooldown-without-zero", "warning", "A cooldownPeriod with a minReplicaCount above 0 does nothing.", _cooldown
    ),
    Rule(
        "in-flight-counted-twice",
        "warning",
        "A ScaledJob's strategy and scaleOnInFlight do not go together.",
        _accurate,
    ),
    Rule("bounds", "error", "Minimum, maximum and idle count contradict each other.", _bounds),
    Rule("idle-not-zero", "warning", "An idleReplicaCount other than 0 does not work.", _idle),
    Rule("queue-url", "error", "KEDA cannot find the queue's name in the URL.", _queue_url),
    Rule("trigger-metadata", "error", "A field of an aws-sqs-queue trigger is missing or cannot be read.", _metadata),
    Rule(
        "trigger-credentials", "error", "A trigger has no credentials, or names ones that are not there.", _credentials
    ),
    Rule("no-fallback", "warning", "Errors freeze scaling.", _fallback),
    Rule("metric-reads", "warning", "The queue is read more often, or values are older, than needed.", _reads),
    Rule("cold-start", "warning", "The first message waits for a poll.", _cold_start),
    Rule(
        "jump-to-zero", "warning", "Gentle policies for scaling down do not hold for the step to zero.", _jump_to_zero
    ),
    Rule("two-autoscalers", "error", "A ScaledObject and an HPA have the same target.", _two_masters),
    Rule("never-zero", "error", "Only cpu and memory, and a minimum of 0.", _never_zero),
    Rule("target", "warning", "The target is missing, or its manifest sets replicas.", _target),
    Rule("first-poll", "warning", "Replicas of the manifest go at the first poll.", _first_poll),
    Rule("job-push", "error", "external-push on a ScaledJob.", _job_push),
    Rule("formula", "error", "Scaling modifiers cannot be read.", _formula),
    Rule("paused", "warning", "A pause annotation is set.", _paused),
)
