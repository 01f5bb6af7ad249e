"""An alias as it is kept: a name for a version, or for two by weight."""

from collections.abc import Mapping

import msgspec

from forebay.api import lambda_ as api
from forebay.services.lambda_.errors import invalid
from forebay.services.lambda_.function import LATEST
from forebay.store.records import Kind, record_key


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name for a version; `weights` gives shares of the invocations, up to 1, to other versions."""

    name: str
    function_arn: str
    version: str
    revision: str
    description: str = ""
    weights: dict[str, float] = {}

    @property
    def arn(self) -> str:
        """The alias's ARN."""
        return f"{self.function_arn}:{self.name}"

    def pick(self, chance: float) -> str:
        """Return the version that serves one invocation, given a random number in [0, 1)."""
        for version, weight in self.weights.items():
            if chance < weight:
                return version
            chance -= weight
        return self.version

    def show(self) -> api.AliasConfiguration:
        """Return the alias as GetAlias shows it."""
        return api.AliasConfiguration(
            alias_arn=self.arn,
            name=self.name,
            function_version=self.version,
            description=self.description,
            routing_config=api.AliasRoutingConfiguration(additional_version_weights=self.weights)
            if self.weights
            else None,
            revision_id=self.revision,
        )


ALIAS = Kind("lambda.alias", Alias)


def alias_key(function_key: str, name: str) -> str:
    """Return the key of an alias's record."""
    return record_key(function_key, name)


def check_weights(version: str, weights: Mapping[str, float]) -> None:
    """Check the shares that an alias gives to versions beside its own.

    Raises:
        InvalidParameterValueException: they break a rule of the developer guide's "Create an alias".
    """
    if not weights:
        return
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if LATEST in weights or version == LATEST:
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    if version in weights:
        raise invalid(
            f"Invalid function version {version}. "
            f"Function version {version} is already included in routing configuration."
        )
    if sum(weights.values()) > 1:
        raise invalid("Sum of weights in AdditionalVersionWeights cannot be greater than 1")
