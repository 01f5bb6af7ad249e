"""Types whose properties are the members of `CreateX`, `UpdateX` and `DeleteX` as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from forebay.services.cloudformation.resources.calls import omit, pick, run_if_there
from forebay.services.cloudformation.resources.contract import (
    Create,
    Delete,
    Existing,
    Find,
    Made,
    Properties,
    Site,
    Update,
)


@dataclass(frozen=True)
class Crud:
    """One kind of thing of one service.

    `noun` completes the operations' names; `parents` are the properties that lead to it; `identifier` is the member
    that names it, in answers and requests; `fixed` are properties that its update does not take; `lookup` is the
    property that is unique among its siblings, by which an interrupted create is found again.
    """

    service: str
    noun: str
    identifier: str
    parents: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    lookup: str | None = None
    prepare: Callable[[Properties], dict[str, Any]] = dict

    @property
    def create(self) -> Create:
        """Create by the properties as they are."""

        async def create(site: Site, properties: Properties) -> Made:
            answer = await site.run(self.service, f"Create{self.noun}", self.prepare(properties))
            return self._made(answer, properties)

        return create

    @property
    def update(self) -> Update:
        """Change what is given; what is no longer given is emptied."""

        async def update(site: Site, existing: Existing, properties: Properties) -> Made:
            new, old = self.prepare(properties), self.prepare(existing.properties)
            params = {**_emptied(old, new), **omit(new, *self.fixed), **self._key(existing)}
            await site.run(self.service, f"Update{self.noun}", params)
            return Made(existing.physical_id, existing.attributes)

        return update

    @property
    def delete(self) -> Delete:
        """Delete; gone already is fine."""

        async def delete(site: Site, existing: Existing) -> None:
            await run_if_there(site, self.service, f"Delete{self.noun}", self._key(existing))

        return delete

    @property
    def find(self) -> Find | None:
        """Look among the siblings for what an interrupted create may have made."""
        lookup = self.lookup
        if lookup is None:
            return None

        async def find(site: Site, properties: Properties) -> Made | None:
            params = {**pick(properties, *self.parents), "MaxResults": "500"}
            answer = await site.run(self.service, f"Get{_plural(self.noun)}", params)
            items = cast("list[dict[str, Any]]", answer.get("Items") or [])
            same = [item for item in items if item.get(lookup) == properties.get(lookup)]
            return self._made(same[0], properties) if same else None

        return find

    def _made(self, answer: dict[str, Any], properties: Properties) -> Made:
        value = answer.get(self.identifier) or properties[self.identifier]
        return Made(value, {self.identifier: value})

    def _key(self, existing: Existing) -> dict[str, Any]:
        return {**pick(existing.properties, *self.parents), self.identifier: existing.physical_id}


def _plural(noun: str) -> str:
    return f"{noun}s"


def _emptied(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return for each member that is no longer given the value that clears it."""
    cleared: dict[str, Any] = {}
    for name, value in old.items():
        if name in new:
            # Maps are merged by these operations; an empty text takes a key away.
            if isinstance(value, dict) and isinstance(new[name], dict) and name.endswith("Parameters"):
                gone = {key: "" for key in cast("dict[str, Any]", value) if key not in new[name]}
                new[name] = {**gone, **new[name]}
        elif isinstance(value, bool):
            cleared[name] = False
        elif isinstance(value, str):
            cleared[name] = ""
        elif isinstance(value, (dict, list)):
            cleared[name] = type(cast("object", value))()
    return cleared
