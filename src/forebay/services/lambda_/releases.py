"""Publishing: the latest version as it is becomes a numbered one that never changes."""

import msgspec

from forebay.operations.call import Call
from forebay.services.lambda_.function import FUNCTION, VERSION, Function, Version, is_same_release, version_key


def publish(call: Call, function: Function, description: str | None) -> Version:
    """Return a new version made of the latest, or the newest one where nothing has changed since ("PublishVersion")."""
    latest = function.latest
    newest = call.records.find(VERSION, version_key(function.key, str(function.last_version)))
    if newest is not None and is_same_release(newest, latest):
        return newest
    number = function.last_version + 1
    version = msgspec.structs.replace(
        latest,
        version=str(number),
        description=latest.description if description is None else description,
        revision=call.ids.uuid(),
        modified_at=call.now,
    )
    call.records.put(VERSION, version_key(function.key, version.version), version)
    call.records.put(FUNCTION, function.key, msgspec.structs.replace(function, last_version=number))
    return version
