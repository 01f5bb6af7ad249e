"""Operations on the tags of state machines and activities."""

from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions.activity import ACTIVITY
from forebay.services.stepfunctions.address import ActivityName, MachineName, activity_name, unlabelled
from forebay.services.stepfunctions.configuration import merged_tags
from forebay.services.stepfunctions.state_machine import STATE_MACHINE, no_resource


@operation
def tag_resource(call: Call, request: api.TagResourceInput) -> api.TagResourceOutput:
    """Set tags; the others that the resource has stay."""
    name = _name(request.resource_arn)
    _put_tags(call, name, merged_tags(_tags(call, name), request.tags))
    return api.TagResourceOutput()


@operation
def untag_resource(call: Call, request: api.UntagResourceInput) -> api.UntagResourceOutput:
    """Take tags from a resource; keys that it does not have are skipped."""
    name = _name(request.resource_arn)
    _put_tags(call, name, {key: value for key, value in _tags(call, name).items() if key not in request.tag_keys})
    return api.UntagResourceOutput()


@operation(readonly=True)
def list_tags_for_resource(call: Call, request: api.ListTagsForResourceInput) -> api.ListTagsForResourceOutput:
    """Return the tags of a resource."""
    tags = _tags(call, _name(request.resource_arn))
    return api.ListTagsForResourceOutput(tags=[api.Tag(key=key, value=value) for key, value in tags.items()])


def _name(arn: str) -> MachineName | ActivityName:
    if ":activity:" in arn:
        return activity_name(arn)
    name = unlabelled(arn)
    if name.qualifier is not None:
        raise no_resource(arn)
    return name


def _tags(call: Call, name: MachineName | ActivityName) -> dict[str, str]:
    """Return the tags of a resource.

    Raises:
        ResourceNotFound: there is no such resource.
    """
    reader = call.reader
    is_machine = isinstance(name, MachineName)
    found = reader.find(STATE_MACHINE, name.key()) if is_machine else reader.find(ACTIVITY, name.key())
    if found is None:
        raise no_resource(name.arn())
    return found.tags


def _put_tags(call: Call, name: MachineName | ActivityName, tags: dict[str, str]) -> None:
    if isinstance(name, MachineName):
        machine = call.records.find(STATE_MACHINE, name.key())
        assert machine is not None, "its tags have been read"
        call.records.put(STATE_MACHINE, name.key(), replace(machine, tags=tags))
    else:
        activity = call.records.find(ACTIVITY, name.key())
        assert activity is not None, "its tags have been read"
        call.records.put(ACTIVITY, name.key(), replace(activity, tags=tags))
