"""Operations on activities: create, describe, list, delete. Their tasks are in `tasks`."""

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions.activity import ACTIVITY, Activity, no_activity
from forebay.services.stepfunctions.address import ActivityName, activity_name, check_name
from forebay.services.stepfunctions.configuration import encryption_of, tags_of
from forebay.services.stepfunctions.pages import page
from forebay.store.records import key_prefix


@operation
def create_activity(call: Call, request: api.CreateActivityInput) -> api.CreateActivityOutput:
    """Make an activity, or return the one of that name; tags of a later request do not count.

    Raises:
        ActivityAlreadyExists: there is one with another encryption.
    """
    check_name(request.name)
    encryption = encryption_of(request.encryption_configuration)
    tags = tags_of(request.tags)
    name = ActivityName(call.account, call.region, request.name)
    activity = call.records.find(ACTIVITY, name.key())
    if activity is None:
        # Tasks wait as messages do, so their numbers are those of queues.
        activity = Activity(name, call.now, call.records.next_number("sqs.queue"), tags, encryption)
        call.records.put(ACTIVITY, name.key(), activity)
    elif activity.encryption != encryption:
        raise api.ActivityAlreadyExists(f"Activity Already Exists: '{name.arn()}'")
    return api.CreateActivityOutput(activity_arn=name.arn(), creation_date=activity.created_at)


@operation(readonly=True)
def describe_activity(call: Call, request: api.DescribeActivityInput) -> api.DescribeActivityOutput:
    """Return an activity."""
    name = activity_name(request.activity_arn)
    activity = call.reader.find(ACTIVITY, name.key())
    if activity is None:
        raise no_activity(name.arn())
    return api.DescribeActivityOutput(
        activity_arn=name.arn(),
        name=name.name,
        creation_date=activity.created_at,
        encryption_configuration=activity.encryption,
    )


@operation(readonly=True)
def list_activities(call: Call, request: api.ListActivitiesInput) -> api.ListActivitiesOutput:
    """List the activities of the caller's account and region, by name."""
    prefix = key_prefix(call.account, call.region)
    activities, token = page(call.reader, ACTIVITY, prefix, request.next_token, request.max_results)
    items = [
        api.ActivityListItem(
            activity_arn=activity.name.arn(), name=activity.name.name, creation_date=activity.created_at
        )
        for activity in activities
    ]
    return api.ListActivitiesOutput(activities=items, next_token=token)


@operation
def delete_activity(call: Call, request: api.DeleteActivityInput) -> api.DeleteActivityOutput:
    """Delete an activity; one that is not there is no error. Tasks that a worker has taken can still be answered."""
    call.records.delete(ACTIVITY, activity_name(request.activity_arn).key())
    return api.DeleteActivityOutput()
