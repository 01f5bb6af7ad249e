"""What decisions say beside their numbers: conditions and events in the words of Kubernetes and KEDA."""

from typing import Literal

import msgspec

Status = Literal["True", "False", "Unknown"]


class Condition(msgspec.Struct, frozen=True):
    """One condition of an object's status; who keeps the status adds the time of its last transition."""

    type: str
    status: Status
    reason: str
    message: str


class Event(msgspec.Struct, frozen=True):
    """An event about an object."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
