"""Manifests that go together, sorted by kind for the rules."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from forebay.scaling.manifests.documents import Manifest
from forebay.scaling.manifests.hpa import HorizontalPodAutoscaler
from forebay.scaling.manifests.karpenter import NodePool
from forebay.scaling.manifests.keda import ClusterTriggerAuthentication, ScaledJob, ScaledObject, TriggerAuthentication
from forebay.scaling.manifests.pods import PodTemplate
from forebay.scaling.manifests.workloads import Deployment, PodDisruptionBudget

T = TypeVar("T")


class Worker(msgspec.Struct, frozen=True):
    """Pods that a scaler makes, and the object that makes them."""

    name: str
    template: PodTemplate
    owner: ScaledObject | ScaledJob
    # Of the object and of its template.
    annotations: Mapping[str, str]


class Setting(msgspec.Struct, frozen=True):
    """All manifests of one setting."""

    manifests: tuple[Manifest, ...]

    def all(self, kind: type[T]) -> list[T]:
        """Return the manifests of a kind."""
        return [item for item in self.manifests if isinstance(item, kind)]

    @property
    def scaled_objects(self) -> Sequence[ScaledObject]:
        """ScaledObjects."""
        return self.all(ScaledObject)

    @property
    def scaled_jobs(self) -> Sequence[ScaledJob]:
        """ScaledJobs."""
        return self.all(ScaledJob)

    @property
    def pools(self) -> Sequence[NodePool]:
        """NodePools."""
        return self.all(NodePool)

    @property
    def hpas(self) -> Sequence[HorizontalPodAutoscaler]:
        """HPAs that someone wrote."""
        return self.all(HorizontalPodAutoscaler)

    @property
    def budgets(self) -> Sequence[PodDisruptionBudget]:
        """PodDisruptionBudgets."""
        return self.all(PodDisruptionBudget)

    @property
    def authentications(self) -> set[tuple[str, str]]:
        """Kinds and names of trigger authentications."""
        found = {("TriggerAuthentication", item.metadata.name) for item in self.all(TriggerAuthentication)}
        return found | {
            ("ClusterTriggerAuthentication", item.metadata.name) for item in self.all(ClusterTriggerAuthentication)
        }

    def deployment(self, name: str, namespace: str | None) -> Deployment | None:
        """Return a Deployment by name."""
        for item in self.all(Deployment):
            if item.metadata.name == name and (item.metadata.namespace or "default") == (namespace or "default"):
                return item
        return None

    @property
    def workers(self) -> list[Worker]:
        """The pods of everything that KEDA scales."""
        found: list[Worker] = []
        for item in self.scaled_objects:
            deployment = self.deployment(item.spec.scale_target_ref.name, item.metadata.namespace)
            if deployment is not None:
                template = deployment.spec.template
                marks = {**deployment.metadata.annotations, **template.metadata.annotations}
                found.append(Worker(f"Deployment/{deployment.metadata.name}", template, item, marks))
        for item in self.scaled_jobs:
            template = item.spec.job_target_ref.template
            marks = {**item.metadata.annotations, **template.metadata.annotations}
            found.append(Worker(f"ScaledJob/{item.metadata.name}", template, item, marks))
        return found
