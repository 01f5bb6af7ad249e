"""The answers to KEDA, by what a trigger's metadata asks for."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from forebay.scaling.external_scaler.gauge import QueueGauge, QueueGauges
from forebay.scaling.policies.sqs_metric import SqsTrigger, read_sqs_trigger

# Messages that become visible by time alone wake nobody: they are looked for this often.
_LOOK_AGAIN_SECONDS = 1.0


class NoSuchQueue(LookupError):
    """The queue that a trigger names is not there."""


@dataclass(frozen=True)
class Watched:
    """A trigger and the queue that it watches."""

    trigger: SqsTrigger
    group: str | None
    gauge: QueueGauge

    @property
    def metric_name(self) -> str:
        """The name under which KEDA asks for the value; KEDA puts the trigger's place in front of it."""
        return self.trigger.queue_name if self.group is None else f"{self.trigger.queue_name}-{self.group}"

    async def value(self) -> int:
        """Return the queue's length as the trigger counts it."""
        counts = await self.gauge.measure(self.group)
        in_flight = counts.in_flight if self.trigger.counts_in_flight else 0
        return counts.visible + in_flight + (counts.delayed if self.trigger.counts_delayed else 0)

    async def is_active(self) -> bool:
        """Return whether there is work above the trigger's threshold."""
        return self.trigger.is_active(await self.value())

    async def activity(self) -> AsyncGenerator[bool]:
        """Yield whether there is work: at once, and then each time that it changes."""
        woken = asyncio.Event()
        end_listening = self.gauge.listen(woken.set)
        last: bool | None = None
        try:
            while True:
                woken.clear()
                now = await self.is_active()
                if now != last:
                    yield now
                last = now
                if now:
                    # While there is work, a further message changes nothing.
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), _LOOK_AGAIN_SECONDS)
        finally:
            end_listening()


class Scaler:
    """Finds what a trigger watches."""

    def __init__(self, gauges: QueueGauges, account: str, region: str) -> None:
        self._gauges = gauges
        self._account = account
        self._region = region

    async def watch(self, metadata: Mapping[str, str]) -> Watched:
        """Return what a trigger's metadata names.

        Raises:
            InvalidManifest: a field is missing or has a wrong value.
            NoSuchQueue: there is no such queue.
        """
        trigger = read_sqs_trigger(metadata)
        account = _account(trigger.queue_url) or self._account
        region = trigger.aws_region or self._region
        gauge = await self._gauges.find(account, region, trigger.queue_name)
        if gauge is None:
            raise NoSuchQueue(f"There is no queue {trigger.queue_name} in account {account} and region {region}.")
        return Watched(trigger, metadata.get("messageGroupId") or None, gauge)


def _account(queue_url: str) -> str:
    """Return the account that a queue's URL names; empty for a bare name."""
    parts = urlsplit(queue_url)
    return parts.path.split("/")[1] if parts.scheme and parts.netloc else ""
