"""Lambda: functions, versions, aliases, layers, URLs, asynchronous invocations, event source mappings.

Reading order: `function` and `address` (what is kept, how it is named), `configuration`, `code`, `uploads`;
`functions`, `versions`, `aliases`, `permissions`, `tags`, `concurrency`, `settings`, `layers` (operations);
`runner` and `invocations` (running a function); `async_invocation`, `target`, `sender`, `invoke_configs` (events that
wait for their function, and where results go); `mapping`, `mapping_stream`, `failure_bucket`, `mappings`,
`event_source_mappings` (draining queues, reading streams); `function_url`, `urls`, `url_event`,
`ingress`, `code_links` (plain HTTP); `logs`; `credentials`.

Left out, and answered with an error that says so: container images, sources of mappings other than queues and
DynamoDB streams, streamed answers, provisioned concurrency, code signing, durable executions. Kept and shown, but
without effect: resource policies, VPC and tracing settings, SnapStart, file systems, KMS keys, recursion settings.
"""

import os

from forebay.api import lambda_ as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.runtimes.contract import PoolLimits
from forebay.runtimes.pool import FunctionPool
from forebay.runtimes.processes import ProcessActuator
from forebay.services.lambda_ import (
    aliases,
    concurrency,
    event_source_mappings,
    functions,
    invocations,
    invoke_configs,
    layers,
    permissions,
    settings,
    tags,
    urls,
    versions,
)
from forebay.services.lambda_.code import CodeStore
from forebay.services.lambda_.code_links import open_code_links
from forebay.services.lambda_.ingress import FunctionIngress
from forebay.services.lambda_.limits import MEMORY_MB_MAX
from forebay.services.lambda_.logs import LogShipper
from forebay.services.lambda_.mappings import Mappings
from forebay.services.lambda_.runner import Runner
from forebay.services.lambda_.sender import FunctionSender
from forebay.services.lambda_.target import FunctionTarget


async def _build(platform: Platform) -> Parts:
    store, clock, ids = platform.store, platform.clock, platform.ids
    logs = LogShipper(platform)
    logs.duty = platform.start_worker(logs)
    pool = _open_pool(platform, logs)
    code = CodeStore(platform.config.data / "functions", store.blobs, ids)
    await code.empty()
    runner = Runner(platform, pool, code)
    links = await open_code_links(store, ids)
    mappings = Mappings(platform, runner)
    await mappings.open()

    async def close() -> None:
        await pool.close()
        await logs.ship()

    return Parts(
        target=FunctionTarget(store, clock, ids, runner),
        sender=FunctionSender(store, clock, ids, runner),
        ingress=FunctionIngress(platform, runner, code, links),
        duties=[Duty(pool)],
        shared=[pool, code, links, runner, mappings],
        controls={"tail": logs.tail},
        drain=[logs.drain],
        close=[close],
    )


def _open_pool(platform: Platform, logs: LogShipper) -> FunctionPool:
    config = platform.config
    limits = PoolLimits(
        instances_max=config.function_instances_max,
        memory_mb_max=config.function_memory_mb_max or _default_memory_mb(),
        idle_seconds_max=config.function_idle_seconds,
    )
    is_exact = config.runtime_match == "exact"
    actuator = ProcessActuator(config.data / "runtimes", exact_runtimes=is_exact)
    return FunctionPool(clock=platform.clock, ids=platform.ids, actuator=actuator, on_log=logs.take, limits=limits)


def _default_memory_mb() -> int:
    """Return three quarters of the machine's memory, but room for the largest function there can be.

    Memory sizes are limits; most functions use little of theirs, so a small machine need not refuse a large one.
    """
    machine_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
    return max(machine_mb * 3 // 4, MEMORY_MB_MAX)


SERVICE = Service(
    name="lambda",
    model=api.MODEL,
    operations=[
        aliases,
        concurrency,
        event_source_mappings,
        functions,
        invocations,
        invoke_configs,
        layers,
        permissions,
        settings,
        tags,
        urls,
        versions,
    ],
    build=_build,
    labels=["lambda-url"],
)
