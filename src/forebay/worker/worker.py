"""The worker itself: receives, hands out, settles, and stops without losing work."""

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from forebay.core.clock import monotonic
from forebay.worker.batch_calls import change_visibility
from forebay.worker.deletion_cost import DeletionCost, PodApi
from forebay.worker.deletions import Deletions
from forebay.worker.desk import Desk
from forebay.worker.leases import Leases
from forebay.worker.message import Message, read_message
from forebay.worker.settings import Report, Settings

_log = logging.getLogger("forebay.worker")

_RECEIVE_MAX = 10
_OUTAGE_PAUSE_SECONDS_MAX = 30.0

Handle = Callable[[Message], object]
HandleBatch = Callable[[Sequence[Message]], Iterable[Message] | None]


class Worker:
    """Drains one queue, named by URL or by bare name, with a handler of messages or of batches.

    A handler that returns has done its work: the message is deleted. One that raises has not: the message comes
    again. A handler of batches may return the messages that failed. Messages of one FIFO group are handled one after
    another, and when one fails, those behind it are given back with it.
    """

    _leases: Leases
    _deletions: Deletions

    def __init__(
        self,
        queue_name: str,
        handle: Handle | None = None,
        *,
        handle_batch: HandleBatch | None = None,
        client: Any = None,
        settings: Settings | None = None,
        **changes: Any,
    ) -> None:
        """Take the settings, or the changes to the usual ones: `Worker("orders", handle, concurrency=4)`."""
        if (handle is None) == (handle_batch is None):
            raise ValueError("give either handle or handle_batch")
        self._settings = replace(settings or Settings(), **changes)
        if handle is not None:
            handle_batch = _one_by_one(handle)
            self._settings = replace(self._settings, batch_size=1)
        assert handle_batch is not None
        self._handle_batch = handle_batch
        self._client: Any = client
        self._url = queue_name
        self._stopping = threading.Event()
        self._received_last = threading.Event()
        self._deadline = 0.0
        pod = PodApi.from_environment()
        self._cost = None if pod is None else DeletionCost(pod)
        self._desk = Desk(self._tell_busy)
        self._units: queue.SimpleQueue[list[Message]] = queue.SimpleQueue()

    @property
    def report(self) -> Report:
        """What has been done so far."""
        return self._desk.report

    def stop(self) -> None:
        """Receive nothing more; `run` returns when what is at work is done. May be called from anywhere."""
        if not self._stopping.is_set():
            self._deadline = monotonic() + self._settings.grace_seconds
            self._stopping.set()

    def run(self) -> Report:
        """Work until SIGTERM, SIGINT or `stop`, then finish or give back what is there, and report. Runs once.

        Raises:
            botocore.exceptions.ClientError: there is no such queue, or it may not be used.
        """
        if self._client is None:
            import boto3  # noqa: PLC0415 - loading it takes a quarter of a second, which a given client saves

            self._client = cast("Any", boto3).client("sqs")
        if "://" not in self._url:
            self._url = str(self._client.get_queue_url(QueueName=self._url)["QueueUrl"])
        before = self._take_signals()
        try:
            return self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take_signals(self) -> dict[signal.Signals, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}

        def told(number: int, _frame: FrameType | None) -> None:
            self.stop()
            _log.info("%s: stopping", signal.Signals(number).name)

        return {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}

    def _run(self) -> Report:
        self._leases = Leases(self._client, self._url, self._settings.lease_seconds)
        self._deletions = Deletions(self._client, self._url, self._deleted)
        self._leases.start()
        self._deletions.start()
        if self._cost is not None:
            self._cost.start()
        # Daemons: work that is cut off must not keep the process from ending.
        for number in range(self._settings.concurrency):
            threading.Thread(target=self._work, name=f"forebay-worker-{number}", daemon=True).start()
        self._receive_until_stopped()
        self._received_last.set()
        self._drain()
        self._leases.stop()
        if self._cost is not None:
            self._cost.stop()
        _log.info("stopped: %s", self.report)
        return self.report

    # Receiving.

    def _receive_until_stopped(self) -> None:
        room = self._settings.concurrency * self._settings.batch_size
        begun_at = monotonic()
        outage_seconds = 1.0
        while not self._stopping.is_set():
            # Short waits, because a signal must be able to end them.
            if not self._desk.wait_below(room, 0.2):
                continue
            try:
                messages = self._receive(min(_RECEIVE_MAX, room - len(self._desk.held())))
            except (BotoCoreError, ClientError) as error:
                _log.warning("cannot receive, trying again in %g s: %s", outage_seconds, error)
                self._stopping.wait(outage_seconds)
                outage_seconds = min(outage_seconds * 2, _OUTAGE_PAUSE_SECONDS_MAX)
                continue
            outage_seconds = 1.0
            self._desk.take(messages)
            self._leases.hold(messages)
            for unit in self._units_of(messages):
                begun_at = self._pace(begun_at, len(unit))
                self._units.put(unit)

    def _receive(self, limit: int) -> list[Message]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=self._settings.wait_seconds,
            VisibilityTimeout=self._settings.lease_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [read_message(each) for each in answer.get("Messages", [])]

    def _units_of(self, messages: Sequence[Message]) -> list[list[Message]]:
        """Return what is handled together or in order: a FIFO group's messages, or a batch."""
        if self._url.endswith(".fifo"):
            groups: dict[str | None, list[Message]] = {}
            for message in messages:
                groups.setdefault(message.group, []).append(message)
            return list(groups.values())
        size = self._settings.batch_size
        return [list(messages[first : first + size]) for first in range(0, len(messages), size)]

    def _pace(self, begun_at: float, count: int) -> float:
        if self._settings.per_second is None:
            return begun_at
        now = monotonic()
        due_at = max(begun_at, now)
        self._stopping.wait(due_at - now)
        return due_at + count / self._settings.per_second

    # Working, in threads.

    def _work(self) -> None:
        while True:
            unit = self._units.get()
            size = self._settings.batch_size
            for first in range(0, len(unit), size):
                part = unit[first : first + size]
                if self._stopping.is_set():
                    # Not before the last long poll has ended, which would get them again.
                    self._received_last.wait()
                    self._give_back("returned", unit[first:])
                    break
                if not self._handled(part) and self._url.endswith(".fifo"):
                    self._give_back("returned", unit[first + size :])
                    break

    def _handled(self, part: list[Message]) -> bool:
        """Have messages handled and settle them; return whether all are done."""
        try:
            failed = list(self._handle_batch(part) or ())
        except Exception:  # noqa: BLE001 - whatever a handler raises, its messages come again
            _log.exception("the handler failed for %s", ", ".join(message.message_id for message in part))
            failed = part
        for message in part:
            if message not in failed and self._desk.holds(message):
                self._deletions.add(message)
        self._give_back("failed", failed)
        return not failed

    # Settling.

    def _deleted(self, deleted: Sequence[Message], failed: Sequence[Message]) -> None:
        self._leases.let_go([*deleted, *failed])
        self._desk.settle("completed", deleted)
        self._desk.settle("undeleted", failed)

    def _give_back(self, outcome: str, messages: Sequence[Message]) -> None:
        messages = [message for message in messages if self._desk.holds(message)]
        self._leases.let_go(messages)
        by_pause: dict[int, list[Message]] = {}
        for message in messages:
            pause = self._settings.retry_seconds(message) if outcome == "failed" else 0
            by_pause.setdefault(pause, []).append(message)
        for pause, resting in by_pause.items():
            change_visibility(self._client, self._url, resting, pause)
        self._desk.settle(outcome, messages)

    def _drain(self) -> None:
        """Finish what has begun, within the grace period; give back the rest."""
        while not self._units.empty():
            try:
                self._give_back("returned", self._units.get_nowait())
            except queue.Empty:
                break
        if not self._desk.wait_below(1, max(0.0, self._deadline - monotonic())):
            unfinished = self._desk.held()
            _log.error("cut off in the middle of %s", ", ".join(message.message_id for message in unfinished))
            self._give_back("cut_off", unfinished)
        self._deletions.stop()

    def _tell_busy(self, count: int) -> None:
        if self._cost is not None:
            self._cost.set(count)


def _one_by_one(handle: Handle) -> HandleBatch:
    def handled(messages: Sequence[Message]) -> None:
        for message in messages:
            handle(message)

    return handled
