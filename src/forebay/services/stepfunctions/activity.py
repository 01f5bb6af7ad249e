"""An activity: a place where tasks wait for workers that poll."""

import msgspec

from forebay.api import stepfunctions as api
from forebay.services.stepfunctions.address import ActivityName
from forebay.services.stepfunctions.configuration import AWS_KEY
from forebay.store.records import Kind


class Activity(msgspec.Struct, frozen=True):
    """An activity. `number` is the queue of its tasks, never that of another."""

    name: ActivityName
    created_at: float
    number: int
    tags: dict[str, str] = {}
    encryption: api.EncryptionConfiguration = AWS_KEY


ACTIVITY = Kind("stepfunctions.activity", Activity)


def no_activity(arn: str) -> api.ActivityDoesNotExist:
    """Return the answer for an activity that is not there."""
    return api.ActivityDoesNotExist(f"Activity Does Not Exist: '{arn}'")
