"""Reading: one object, lists of them with selectors and pages, and watches."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from forebay.core.clock import Clock, monotonic
from forebay.core.http import Answer, StreamedResponse
from forebay.scaling.cluster.kinds import Object, Resource
from forebay.scaling.cluster.objects import (
    ADDED,
    CHANGES,
    DELETED,
    MODIFIED,
    REVISION,
    Change,
    Objects,
    name_of,
    namespace_of,
    object_key,
)
from forebay.scaling.cluster.selectors import Matches, parse_field_selector, parse_label_selector
from forebay.scaling.cluster.status import StatusError, bad_request, expired, not_found
from forebay.services.kubernetes.answers import JSON, answer, metadata_only, served
from forebay.services.kubernetes.ask import Ask
from forebay.services.kubernetes.tables import table
from forebay.store.commands import ReadLog, StoredEntry
from forebay.store.contract import View
from forebay.store.records import key_parts

_PAGE = 500
_BOOKMARK_SECONDS = 60.0
_WATCH_SECONDS = 3600.0


class Reader:
    """Answers reads from the objects in memory, and watches from the log of changes."""

    def __init__(
        self, objects: Objects, clock: Clock, find_virtual: Callable[[Resource, str], list[Object] | None]
    ) -> None:
        self._objects = objects
        self._clock = clock
        # Kinds that are computed when asked (metrics, definitions): their objects, or None for kept ones.
        self._find_virtual = find_virtual
        self._watches: set[asyncio.Event] = set()
        self._is_draining = False

    def drain(self) -> None:
        """End all watches: the node is about to stop."""
        self._is_draining = True
        for woken in self._watches:
            woken.set()

    def get(self, ask: Ask) -> Answer:
        """Return one object.

        Raises:
            StatusError: there is none.
        """
        virtual = self._find_virtual(ask.resource, ask.namespace)
        if virtual is None:
            thing = self._objects.index.find(ask.resource, ask.namespace, ask.name)
        else:
            thing = next((each for each in virtual if name_of(each) == ask.name), None)
        if thing is None:
            raise not_found(ask.resource, ask.name)
        return self.shown(ask, thing)

    def shown(self, ask: Ask, thing: Object, status: int = 200, warnings: Sequence[str] = ()) -> Answer:
        """Return an object in the form that the client wants."""
        thing = served(ask.resource, thing)
        if ask.wants_table:
            return answer(self._table(ask, [thing], thing["metadata"].get("resourceVersion", "")), status, warnings)
        return answer(metadata_only(thing) if ask.wants_metadata_only else thing, status, warnings)

    def list_page(self, ask: Ask) -> Answer:
        """Return a list, or a page of one."""
        found, metadata = self._page(ask, self.selected(ask))
        things = [served(ask.resource, thing) for thing in found]
        if ask.wants_table:
            return answer(self._table(ask, things, metadata["resourceVersion"]) | {"metadata": metadata})
        if ask.wants_metadata_only:
            items = [metadata_only(thing) for thing in things]
            kind = "PartialObjectMetadataList"
            return answer({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
        resource = ask.resource
        # Items of typed lists do not repeat their kind; those of custom kinds do.
        items = things if resource.is_custom else [_without_kind(thing) for thing in things]
        whole = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}
        return answer(whole)

    def selected(self, ask: Ask) -> list[Object]:
        """Return the objects that a request selects."""
        matches = _selection(ask)
        virtual = self._find_virtual(ask.resource, ask.namespace)
        everything = self._objects.index.all(ask.resource, ask.namespace) if virtual is None else virtual
        return [thing for thing in everything if matches(thing)]

    def _page(self, ask: Ask, found: list[Object]) -> tuple[list[Object], Object]:
        metadata: Object = {"resourceVersion": str(self._objects.index.revision)}
        after = _continued(ask.query.get("continue", ""))
        if after is not None:
            found = [thing for thing in found if (namespace_of(thing), name_of(thing)) > after]
        limit = ask.number("limit") or 0
        if 0 < limit < len(found):
            last = found[limit - 1]
            token = json.dumps([namespace_of(last), name_of(last)]).encode()
            metadata["continue"] = base64.urlsafe_b64encode(token).decode()
            metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return found, metadata

    def _table(self, ask: Ask, things: Sequence[Object], version: str) -> Object:
        include = ask.query.get("includeObject", "Metadata")
        made = table(ask.resource, things, self._clock.now(), include=include)
        return made | {"metadata": {"resourceVersion": version}}

    # --- watches ---

    def watch(self, ask: Ask) -> Answer:
        """Return the changes from a version on, as they come."""
        return StreamedResponse(200, (JSON, ("Cache-Control", "no-cache, private")), self._follow(ask, _selection(ask)))

    async def _follow(self, ask: Ask, matches: Matches) -> AsyncIterator[bytes]:
        given = ask.query.get("resourceVersion", "")
        index = self._objects.index
        position = index.revision if given in {"", "0"} else int(given) if given.isdecimal() else -1
        if position < 0:
            raise bad_request(f'Invalid value: "{given}": strconv.ParseUint: parsing "{given}": invalid syntax')
        if given in {"", "0"} or ask.flag("sendInitialEvents"):
            position = index.revision
            for thing in [each for each in index.all(ask.resource, ask.namespace) if matches(each)]:
                yield self._event(ask, ADDED, thing)
            if ask.flag("sendInitialEvents"):
                yield self._bookmark(ask, position, initial=True)
        seconds = min(ask.number("timeoutSeconds") or _WATCH_SECONDS, _WATCH_SECONDS)
        async for data in self._changes(ask, matches, position, monotonic() + seconds):
            yield data

    async def _changes(self, ask: Ask, matches: Matches, position: int, until: float) -> AsyncIterator[bytes]:
        woken = asyncio.Event()
        store = self._objects.store
        end = store.listen(("log", CHANGES), woken.set)
        self._watches.add(woken)
        bookmark_at = monotonic() + _BOOKMARK_SECONDS
        try:
            while not self._is_draining and monotonic() < until:
                woken.clear()
                entries, revision = await store.view(partial(_read_changes, position))
                is_lost = position < revision and (not entries or entries[0].position > position + 1)
                # Behind what was told already: the store has been wiped.
                if is_lost or revision < position:
                    yield _error(expired(f"too old resource version: {position} ({revision})"))
                    return
                for entry in entries:
                    position = entry.position
                    data = self._changed(ask, matches, entry.position, entry.data)
                    if data is not None:
                        yield data
                if entries:
                    continue
                if monotonic() >= bookmark_at and ask.flag("allowWatchBookmarks"):
                    bookmark_at = monotonic() + _BOOKMARK_SECONDS
                    yield self._bookmark(ask, position)
                # Real time: a frozen clock must not leave a client waiting for ever.
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), max(min(until, bookmark_at) - monotonic(), 0.001))
        finally:
            end()
            self._watches.discard(woken)

    def _changed(self, ask: Ask, matches: Matches, position: int, data: bytes) -> bytes | None:
        change = msgspec.json.decode(data, type=Change)
        group, plural, *_ = key_parts(object_key(ask.resource, "", ""))
        thing = change.object
        if change.resource != f"{group}/{plural}" or (ask.namespace and namespace_of(thing) != ask.namespace):
            return None
        thing["metadata"]["resourceVersion"] = str(position)
        fits = matches(thing)
        # What has changed so that it is selected no more is gone, for this watch; and the other way round.
        fitted = fits if change.before is None else matches(change.before)
        if not fits and not fitted:
            return None
        kind = change.type
        if kind == MODIFIED:
            kind = MODIFIED if fits and fitted else ADDED if fits else DELETED
        return self._event(ask, kind, thing)

    def _event(self, ask: Ask, kind: str, thing: Object) -> bytes:
        thing = served(ask.resource, thing)
        if ask.wants_table:
            shown: Object = self._table(ask, [thing], thing["metadata"]["resourceVersion"])
        else:
            shown = metadata_only(thing) if ask.wants_metadata_only else thing
        return msgspec.json.encode({"type": kind, "object": shown}) + b"\n"

    def _bookmark(self, ask: Ask, position: int, *, initial: bool = False) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(position), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        thing = {"kind": ask.resource.kind, "apiVersion": ask.resource.api_version, "metadata": metadata}
        return msgspec.json.encode({"type": "BOOKMARK", "object": thing}) + b"\n"


def _read_changes(position: int, view: View) -> tuple[tuple[StoredEntry, ...], int]:
    """Return what follows a position, and the last position, of the same moment."""
    return view.ask(ReadLog(CHANGES, _PAGE, after=position)), view.records.find(REVISION, "revision") or 0


def _error(error: StatusError) -> bytes:
    return msgspec.json.encode({"type": "ERROR", "object": error.as_object()}) + b"\n"


def _selection(ask: Ask) -> Matches:
    labels = parse_label_selector(ask.query.get("labelSelector", ""))
    fields = parse_field_selector(ask.resource, ask.query.get("fieldSelector", ""))
    name = ask.name
    return lambda thing: labels(thing) and fields(thing) and (not name or name_of(thing) == name)


def _without_kind(thing: Object) -> Object:
    return {name: value for name, value in thing.items() if name not in {"apiVersion", "kind"}}


def _continued(token: str) -> tuple[str, str] | None:
    if not token:
        return None
    try:
        namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise bad_request("continue key is not valid") from None
    return namespace, name
