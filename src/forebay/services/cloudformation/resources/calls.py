"""The steps that many resource types share: picking properties, tags, polling, changes of lists."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.contract import Properties, Site, is_not_found

# Twenty minutes at one look a second or so; a deployment's own time limit may end it earlier.
_LOOKS_MAX = 1200
_PAUSE_SECONDS_MAX = 1.0


def pick(properties: Properties, *names: str) -> dict[str, Any]:
    """Return the named properties that are given."""
    return {name: properties[name] for name in names if properties.get(name) is not None}


def omit(properties: Properties, *names: str) -> dict[str, Any]:
    """Return all properties but the named ones."""
    return {name: value for name, value in properties.items() if name not in names}


def tag_map(tags: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Return a list of `Key`, `Value` as a map."""
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in tags or ()}


def tag_changes(old: Properties, new: Properties) -> tuple[dict[str, str], list[str]]:
    """Return the tags to be set and the keys to be removed between two states of `Tags` (a list, or a map)."""
    before, after = any_tags(old), any_tags(new)
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    return changed, [key for key in before if key not in after]


def any_tags(properties: Properties) -> dict[str, str]:
    """Return `Tags` as a map: some types give them as one, some as a list of `Key`, `Value`."""
    tags = properties.get("Tags")
    if isinstance(tags, dict):
        return {key: str(value) for key, value in cast("dict[str, Any]", tags).items()}
    return tag_map(tags)


def key_values(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a map of tags as a list of `Key`, `Value`."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


async def run_if_there(site: Site, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Run an operation; nothing happens where its resource is gone."""
    try:
        return await site.run(service, operation, params)
    except ServiceError as error:
        if is_not_found(error):
            return {}
        raise


async def wait_until(site: Site, look: Callable[[], Awaitable[bool]], waiting_for: str) -> None:
    """Look again and again, with growing pauses, until what is waited for is there.

    Raises:
        ServiceError: it did not come, or the deployment was cancelled.
    """
    pause_seconds = 0.01
    for _ in range(_LOOKS_MAX):
        if await look():
            return
        await site.pause(pause_seconds)
        pause_seconds = min(pause_seconds * 2, _PAUSE_SECONDS_MAX)
    raise ServiceError.of("NotStabilized", f"Exceeded attempts to wait for {waiting_for}")
