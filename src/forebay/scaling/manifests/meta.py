"""What every Kubernetes object carries: names, labels, owners, and selectors over labels."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    """Who made an object, and with whom it goes."""

    api_version: str
    kind: str
    name: str
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The names and marks of an object."""

    # Set by an API server; manifests read back from one bear them.
    without_effect: ClassVar[frozenset[str]] = frozenset({"managedFields", "selfLink"})

    name: str = ""
    generate_name: str = ""
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class SelectorRequirement(msgspec.Struct, frozen=True):
    """One expression over labels; node affinity also knows `Gt` and `Lt`, Karpenter `Gte` and `Lte`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels satisfy the expression (apimachinery's `labels.Requirement.Matches`)."""
        present = self.key in labels
        match self.operator:
            case "In":
                return present and labels[self.key] in self.values
            case "NotIn":
                return not present or labels[self.key] not in self.values
            case "Exists":
                return present
            case "DoesNotExist":
                return not present
            case _:
                return present and self._compares(labels[self.key])

    def _compares(self, label: str) -> bool:
        try:
            value, bound = int(label), int(self.values[0])
        except (ValueError, IndexError):
            return False
        return {"Gt": value > bound, "Lt": value < bound, "Gte": value >= bound, "Lte": value <= bound}.get(
            self.operator, False
        )


class LabelSelector(msgspec.Struct, frozen=True, rename="camel"):
    """A set of labels that objects must bear; an empty selector matches all."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[SelectorRequirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class LocalReference(msgspec.Struct, frozen=True):
    """The name of an object in the same namespace."""

    name: str = ""


class KeyReference(msgspec.Struct, frozen=True):
    """A key of a Secret or ConfigMap."""

    key: str
    name: str = ""
    optional: bool = False


class CrossReference(msgspec.Struct, frozen=True, rename="camel"):
    """An object that has a scale."""

    name: str
    kind: str = "Deployment"
    api_version: str = "apps/v1"


Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]
