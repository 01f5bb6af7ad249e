"""What KEDA decides about a ScaledObject at each poll: from zero, to zero, or nothing.

The branches, their order, and the words of conditions and events are those of KEDA v2.20
(`pkg/scaling/executor/scale_scaledobjects.go`). Everything between 1 and the maximum is the HPA's.
"""

from collections.abc import Mapping, Sequence

import msgspec

from forebay.scaling.manifests.keda import ScaledObject
from forebay.scaling.policies.outcome import Condition, Event

PAUSED = "autoscaling.keda.sh/paused"
PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
PAUSED_SCALE_IN = "autoscaling.keda.sh/paused-scale-in"
PAUSED_SCALE_OUT = "autoscaling.keda.sh/paused-scale-out"
FORCE_ACTIVATION = "autoscaling.keda.sh/force-activation"

_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

_READY = Condition("Ready", "True", "ScaledObjectReady", "ScaledObject is defined correctly and is ready for scaling")
_NOT_ACTIVE = Condition(
    "Active", "False", "ScalerNotActive", "Scaling is not performed because triggers are not active"
)


class Poll(msgspec.Struct, frozen=True):
    """What a poll has found."""

    current_replicas: int
    is_active: bool
    is_error: bool
    created_at: float
    last_active_at: float | None = None
    active_triggers: tuple[str, ...] = ()


class ScaledObjectDecision(msgspec.Struct, frozen=True):
    """What follows from a poll: replicas to write (None leaves them), the new last active time, and the words."""

    set_replicas: int | None
    last_active_at: float | None
    conditions: tuple[Condition, ...]
    events: tuple[Event, ...] = ()
    why: str = ""


class _Object(msgspec.Struct, frozen=True):
    """The parts of a ScaledObject that decisions look at."""

    target: str
    minimum: int
    idle: int | None
    cooldown_seconds: int
    initial_cooldown_seconds: int
    fallback_replicas: int | None
    is_forced: bool
    holds_in: bool
    holds_out: bool


def has_mark(annotations: Mapping[str, str], name: str) -> bool:
    """Tell whether an annotation is set; a value that is no boolean counts as true."""
    return name in annotations and annotations[name] not in _FALSE


def paused_replicas(annotations: Mapping[str, str]) -> int | None:
    """Return the number of replicas that an object is pinned to, if it is."""
    text = annotations.get(PAUSED_REPLICAS, "")
    return int(text) if text.isdecimal() else None


def is_paused(annotations: Mapping[str, str]) -> bool:
    """Tell whether an object is paused in both directions."""
    return PAUSED_REPLICAS in annotations or has_mark(annotations, PAUSED)


def decide(scaled_object: ScaledObject, poll: Poll, now: float) -> ScaledObjectDecision:
    """Decide what follows from a poll of a ScaledObject's triggers."""
    annotations = scaled_object.metadata.annotations
    if is_paused(annotations):
        return _pause(annotations, poll)
    subject = _object(scaled_object)
    if poll.is_active or subject.is_forced:
        return _activate(subject, poll, now)
    return _deactivate(subject, poll, now)


def _object(scaled_object: ScaledObject) -> _Object:
    spec, meta = scaled_object.spec, scaled_object.metadata
    target = spec.scale_target_ref
    return _Object(
        target=f"{target.api_version}.{target.kind} {meta.namespace or 'default'}/{target.name}",
        minimum=spec.min_replica_count or 0,
        idle=spec.idle_replica_count,
        cooldown_seconds=spec.cooldown_period,
        initial_cooldown_seconds=spec.initial_cooldown_period,
        fallback_replicas=None if spec.fallback is None else spec.fallback.replicas,
        is_forced=has_mark(meta.annotations, FORCE_ACTIVATION),
        holds_in=has_mark(meta.annotations, PAUSED_SCALE_IN),
        holds_out=has_mark(meta.annotations, PAUSED_SCALE_OUT),
    )


def _pause(annotations: Mapping[str, str], poll: Poll) -> ScaledObjectDecision:
    pinned = paused_replicas(annotations)
    return ScaledObjectDecision(
        set_replicas=pinned if pinned != poll.current_replicas else None,
        last_active_at=poll.last_active_at,
        conditions=(_READY, Condition("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused")),
        why="paused by annotation" if pinned is None else f"paused by annotation, pinned to {pinned}",
    )


def _activate(subject: _Object, poll: Poll, now: float) -> ScaledObjectDecision:
    why = "activation is being forced by annotation" if subject.is_forced else "triggers are active"
    active = Condition("Active", "True", "ScalerActive", f"Scaling is performed because {why}")
    below = subject.idle is not None and poll.current_replicas < subject.minimum
    if below or poll.current_replicas == 0:
        if subject.holds_out:
            return _unchanged(poll, (_READY, active), "scaling out is paused by annotation")
        return _lift(subject, poll, active, now)
    if poll.is_error:
        text = "Some triggers defined in ScaledObject are not working correctly"
        partial = Condition("Ready", "Unknown", "PartialTriggerError", text)
        return _unchanged(poll, (partial, active), "active, but a trigger failed: the cooldown is not started anew")
    why = f"{why}: the HPA has it between 1 and the maximum"
    return ScaledObjectDecision(None, now, (_READY, active), why=why)


def _lift(subject: _Object, poll: Poll, active: Condition, now: float) -> ScaledObjectDecision:
    replicas = subject.minimum if subject.minimum > 0 else 1
    cause = (
        "caused by forced activation annotation"
        if subject.is_forced
        else f"triggered by {';'.join(poll.active_triggers)}"
    )
    text = f"Scaled {subject.target} from {poll.current_replicas} to {replicas}, {cause}"
    return ScaledObjectDecision(
        set_replicas=replicas,
        last_active_at=now,
        conditions=(_READY, active),
        events=(Event("Normal", "KEDAScaleTargetActivated", text),),
        why=f"active at {poll.current_replicas} replicas: KEDA itself writes {replicas}",
    )


def _deactivate(subject: _Object, poll: Poll, now: float) -> ScaledObjectDecision:
    current = poll.current_replicas
    if poll.is_error and subject.fallback_replicas:
        return _unchanged(poll, (_READY, _NOT_ACTIVE), "a trigger failed: left to the HPA and the fallback")
    if poll.is_error and subject.fallback_replicas is None:
        text = "Triggers defined in ScaledObject are not working correctly"
        failed = Condition("Ready", "False", "TriggerError", text)
        return _unchanged(poll, (failed, _NOT_ACTIVE), "a trigger failed and there is no fallback: nothing moves")
    above_idle = subject.idle is not None and current > subject.idle
    if above_idle or (current > 0 and subject.minimum == 0):
        return _lower(subject, poll, now)
    if subject.idle is None and current < subject.minimum:
        why = f"below minReplicaCount: KEDA writes {subject.minimum}, without a cooldown"
        return ScaledObjectDecision(subject.minimum, poll.last_active_at, (_READY, _NOT_ACTIVE), why=why)
    return _unchanged(poll, (_READY, _NOT_ACTIVE), "not active, nothing to do for KEDA")


def _lower(subject: _Object, poll: Poll, now: float) -> ScaledObjectDecision:
    if subject.holds_in:
        return _unchanged(poll, (_READY, _NOT_ACTIVE), "scaling in is paused by annotation")
    if poll.last_active_at is None:
        ends_at, name = poll.created_at + subject.initial_cooldown_seconds, "initialCooldownPeriod"
    else:
        ends_at, name = poll.last_active_at + subject.cooldown_seconds, "cooldownPeriod"
    if not ends_at < now:
        text = "Scaler cooling down because triggers are not active"
        cooling = Condition("Active", "False", "ScalerCooldown", text)
        return _unchanged(poll, (_READY, cooling), f"{name} runs for {ends_at - now:.0f} s more")
    replicas = subject.minimum if subject.idle is None else subject.idle
    text = f"Deactivated {subject.target} from {poll.current_replicas} to {replicas}"
    return ScaledObjectDecision(
        set_replicas=replicas,
        last_active_at=poll.last_active_at,
        conditions=(_READY, _NOT_ACTIVE),
        events=(Event("Normal", "KEDAScaleTargetDeactivated", text),),
        why=f"{name} is over: KEDA writes {replicas} in one step from {poll.current_replicas}",
    )


def _unchanged(poll: Poll, conditions: Sequence[Condition], why: str) -> ScaledObjectDecision:
    return ScaledObjectDecision(None, poll.last_active_at, tuple(conditions), why=why)
