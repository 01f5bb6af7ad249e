"""`pods/log`: what a container has written, and what it writes from now on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

from forebay.core.clock import Clock
from forebay.core.http import Answer, Response, StreamedResponse
from forebay.scaling.cluster.kinds import EMPTY, PODS, Object
from forebay.scaling.cluster.objects import Objects, name_of, namespace_of, parse_instant, uid_of
from forebay.scaling.cluster.pod_logs import stream_name
from forebay.scaling.cluster.status import StatusError, bad_request, not_found
from forebay.services.kubernetes.ask import Ask
from forebay.store.commands import ReadLog, StoredEntry

_TEXT = (("Content-Type", "text/plain"), ("Cache-Control", "no-cache, private"))
_PAGE = 1000
_LOOK_AGAIN_SECONDS = 1.0


class LogReader:
    """Answers requests for logs."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._followers: set[asyncio.Event] = set()
        self._is_draining = False

    def drain(self) -> None:
        """End all following: the node is about to stop."""
        self._is_draining = True
        for woken in self._followers:
            woken.set()

    async def read(self, ask: Ask) -> Answer:
        """Return a container's log.

        Raises:
            StatusError: there is no such pod or container, or it has not started.
        """
        pod = self._objects.index.find(PODS, ask.namespace, ask.name)
        if pod is None:
            raise not_found(PODS, ask.name)
        container = _container(pod, ask)
        status = _status(pod, container)
        restarts = int(status.get("restartCount") or 0)
        if ask.flag("previous"):
            if not restarts:
                text = f'previous terminated container "{container}" in pod "{ask.name}" not found'
                raise bad_request(text)
            restarts -= 1
        elif "waiting" in (status.get("state") or {"waiting": EMPTY}) and not restarts:
            reason = ((status.get("state") or EMPTY).get("waiting") or EMPTY).get("reason", "ContainerCreating")
            text = f'container "{container}" in pod "{ask.name}" is waiting to start: {reason}'
            raise bad_request(text)
        stream = stream_name(uid_of(pod), container, restarts)
        first = await self._first(ask, stream)
        if ask.flag("follow"):
            return StreamedResponse(200, _TEXT, self._follow(ask, stream, pod, container, first))
        limit = ask.number("limitBytes")
        data = b"".join([_line(ask, entry) async for page in self._pages(stream, first) for entry in page])
        return Response(200, _TEXT, data if limit is None else data[:limit])

    async def _first(self, ask: Ask, stream: str) -> int:
        """Return the position behind which the asked part begins."""
        tail, since = ask.number("tailLines"), ask.number("sinceSeconds")
        from_ms = None if since is None else int((self._clock.now() - since) * 1000)
        given = parse_instant(ask.query.get("sinceTime"))
        from_ms = int(given * 1000) if given is not None else from_ms
        after = 0
        if from_ms is not None:
            ask_first = ReadLog(stream, 1, from_ms=from_ms)
            found = await self._objects.store.view(lambda view: view.ask(ask_first))
            newest = await self._newest(stream, 1)
            after = found[0].position - 1 if found else newest[0].position if newest else 0
        if tail is not None:
            newest = await self._newest(stream, max(tail, 1))
            start = newest[-1].position - 1 if newest else 0
            after = max(after, start if tail else (newest[0].position if newest else 0))
        return after

    async def _newest(self, stream: str, count: int) -> tuple[StoredEntry, ...]:
        newest = ReadLog(stream, min(count, _PAGE), newest_first=True)
        return await self._objects.store.view(lambda view: view.ask(newest))

    async def _pages(self, stream: str, after: int) -> AsyncIterator[tuple[StoredEntry, ...]]:
        while True:
            page = ReadLog(stream, _PAGE, after=after)
            entries = await self._objects.store.view(lambda view, page=page: view.ask(page))
            if not entries:
                return
            yield entries
            after = entries[-1].position

    async def _follow(self, ask: Ask, stream: str, pod: Object, container: str, after: int) -> AsyncIterator[bytes]:
        woken = asyncio.Event()
        end = self._objects.store.listen(("log", stream), woken.set)
        self._followers.add(woken)
        try:
            while not self._is_draining:
                woken.clear()
                # Looked at first: what is written before a container ends is read after it.
                is_over = self._is_over(pod, container)
                page = ReadLog(stream, _PAGE, after=after)
                entries = await self._objects.store.view(lambda view, page=page: view.ask(page))
                if entries:
                    after = entries[-1].position
                    yield b"".join(_line(ask, entry) for entry in entries)
                elif is_over:
                    return
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), _LOOK_AGAIN_SECONDS)
        finally:
            end()
            self._followers.discard(woken)

    def _is_over(self, pod: Object, container: str) -> bool:
        found = self._objects.index.find(PODS, namespace_of(pod), name_of(pod))
        if found is None or uid_of(found) != uid_of(pod):
            return True
        return "terminated" in (_status(found, container).get("state") or EMPTY)


def _container(pod: Object, ask: Ask) -> str:
    spec = pod["spec"]
    names = [each["name"] for each in spec["containers"]]
    every = names + [each["name"] for each in spec.get("initContainers") or ()]
    given = ask.query.get("container")
    default = (pod["metadata"].get("annotations") or EMPTY).get("kubectl.kubernetes.io/default-container")
    if not given and len(names) > 1 and default not in names:
        text = f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]"
        raise bad_request(text)
    chosen = str(given or (default if default in names else names[0]))
    if chosen not in every:
        raise StatusError(400, "BadRequest", f"container {chosen} is not valid for pod {name_of(pod)}")
    return chosen


def _status(pod: Object, container: str) -> Object:
    status = cast("Object", pod.get("status") or EMPTY)
    found = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return next((each for each in found if each["name"] == container), EMPTY)


def _line(ask: Ask, entry: StoredEntry) -> bytes:
    if not ask.flag("timestamps"):
        return entry.data + b"\n"
    moment = datetime.fromtimestamp(entry.at_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{entry.at_ms % 1000:03}000000Z ".encode() + entry.data + b"\n"
