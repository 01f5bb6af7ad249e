"""What scalers of triggers share: whom they are for, and how they fail."""

from collections.abc import Mapping
from dataclasses import dataclass

from forebay.core.errors import ForebayError


class TriggerFailed(ForebayError):
    """A trigger could not be read; the text says why."""


@dataclass(frozen=True)
class Subject:
    """The scaled object that triggers belong to, and the environment of its workload."""

    namespace: str
    name: str
    environment: Mapping[str, str]
