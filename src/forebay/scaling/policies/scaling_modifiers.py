"""KEDA's scaling modifiers: a formula over named triggers that makes one metric, and one activity, of them all."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from forebay.scaling.manifests.keda import ScaledObject, ScalingModifiers
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.expression import Formula, InvalidFormula, parse_formula


class Composite(msgspec.Struct, frozen=True):
    """A ScaledObject's modifiers, read."""

    formula: Formula
    target: float
    activation_target: float

    def value(self, triggers: Mapping[str, float | None]) -> float:
        """Return the composite metric; what is negative or not finite is 0, as KEDA reports it.

        `triggers` maps names to values; None stands for a failed trigger under `fallback.behavior: scalingModifiers`.

        Raises:
            InvalidFormula: the formula has no number for these values.
        """
        value = self.formula.value(triggers)
        return value if math.isfinite(value) and value > 0 else 0.0

    def is_active(self, value: float) -> bool:
        """Tell whether a value of the composite metric wakes the workload."""
        return value > self.activation_target


def read_modifiers(scaled_object: ScaledObject) -> Composite | None:
    """Read the modifiers of a ScaledObject; None where it has none.

    Raises:
        InvalidManifest: the formula cannot be read, names no trigger, or misses its target.
    """
    advanced = scaled_object.spec.advanced
    modifiers = advanced.scaling_modifiers if advanced else None
    if modifiers is None or not modifiers.formula:
        return None
    names = [trigger.name for trigger in scaled_object.spec.triggers]
    _check_names(names)
    try:
        formula = parse_formula(modifiers.formula)
    except InvalidFormula as error:
        raise InvalidManifest(f"error compiling formula in ScalingModifiers: {error}") from None
    unknown = sorted(formula.names - set(names))
    if unknown:
        raise InvalidManifest(f"error validating formula in ScalingModifiers: unknown name {unknown[0]}")
    return Composite(formula, _target(modifiers), _number(modifiers.activation_target or "0", "activationTarget"))


def _check_names(names: Sequence[str]) -> None:
    if not all(names):
        raise InvalidManifest("trigger name is required when scalingModifiers are used")
    if len(set(names)) != len(names):
        raise InvalidManifest("trigger names must be unique when scalingModifiers are used")


def _target(modifiers: ScalingModifiers) -> float:
    if not modifiers.target:
        raise InvalidManifest("formula is given but target is empty")
    target = _number(modifiers.target, "target")
    if target <= 0:
        raise InvalidManifest("error parsing target for scalingModifiers: must be greater than 0")
    return target


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidManifest(f"error converting {name} for scalingModifiers (string->float): {text!r}") from None
