"""Running functions: from an address to an instance's answer, within the limits on concurrency.

Everything that invokes goes through `Runner.run`: the Invoke operation, deliveries, event source mappings, function
URLs. What it needs on each invocation comes from caches; a changed or deleted function is noticed by watching records.
"""

import asyncio
from collections import Counter

import msgspec

from forebay.core.errors import RuntimeFailure
from forebay.operations.platform import Platform
from forebay.runtimes.contract import FunctionSpec, Invocation, InvocationResult, TooManyInstances
from forebay.runtimes.pool import FunctionPool
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import FunctionAddress
from forebay.services.lambda_.code import CodeStore
from forebay.services.lambda_.credentials import credentials_for
from forebay.services.lambda_.function import FUNCTION, LATEST, VERSION, Function, Version, function_arn
from forebay.services.lambda_.resolution import find_version
from forebay.store.records import key_parts

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
UNRESERVED = "ConcurrentInvocationLimitExceeded"


class Missing(msgspec.Struct, frozen=True):
    """There is no such function or version."""

    arn: str


class Throttled(msgspec.Struct, frozen=True):
    """The function may not run now; `reason` is Lambda's word for why."""

    reason: str


class Broken(msgspec.Struct, frozen=True):
    """Nothing here can run the function; `message` says why."""

    message: str


class Ran(msgspec.Struct, frozen=True):
    """The function ran; its own errors are results."""

    result: InvocationResult
    version: str


Run = Ran | Missing | Throttled | Broken


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation to run."""

    address: FunctionAddress
    payload: bytes
    request_id: str
    client_context: str = ""
    trace_header: str = ""


class Runner:
    """Runs functions of all accounts on this node's pool."""

    def __init__(self, platform: Platform, pool: FunctionPool, code: CodeStore) -> None:
        self._platform = platform
        self._pool = pool
        self._code = code
        self._specs: dict[str, FunctionSpec] = {}
        self._running: Counter[str] = Counter()
        self._running_count = 0
        self._freed = asyncio.Event()
        platform.store.watch(FUNCTION, self._on_function)
        platform.store.watch(VERSION, self._on_version)

    async def find(self, address: FunctionAddress) -> tuple[Function, Version] | None:
        """Return what would serve an invocation now, or None."""
        return await find_version(self._platform.store, address, self._platform.ids)

    async def run(self, order: Order) -> Run:
        """Run a function once and return what came of it."""
        found = await self.find(order.address)
        if found is None:
            return Missing(order.address.arn)
        function, version = found
        reserved = function.reserved_concurrency
        if reserved is not None and self._running[function.key] >= reserved:
            return Throttled(RESERVED)
        if reserved is None and self._running_count >= limits.CONCURRENCY_MAX:
            return Throttled(UNRESERVED)
        self._running[function.key] += 1
        self._running_count += 1
        try:
            return await self._invoke(order, version)
        finally:
            self._running_count -= 1
            self._running[function.key] -= 1
            if not self._running[function.key]:
                del self._running[function.key]
            self._freed.set()

    async def _invoke(self, order: Order, version: Version) -> Run:
        try:
            spec = self._specs.get(version.arn)
            if spec is None or spec.revision != version.revision:
                spec = await self._make_spec(version)
            invocation = Invocation(
                request_id=order.request_id,
                payload=order.payload,
                trace_id=order.trace_header,
                client_context_json=order.client_context,
                function_arn=order.address.arn,
            )
            return Ran(await self._admit(spec, invocation), version.version)
        except TooManyInstances:
            return Throttled(UNRESERVED)
        except RuntimeFailure as error:
            return Broken(str(error))

    async def _admit(self, spec: FunctionSpec, invocation: Invocation) -> InvocationResult:
        """Invoke as soon as the pool has room.

        Raises:
            TooManyInstances: it has had none for as long as an invocation waits.
            RuntimeFailure: it never will, or cannot run the function.
        """
        try:
            return await self._pool.invoke(spec, invocation)
        except TooManyInstances:
            memory_mb_max = self._platform.config.function_memory_mb_max
            if memory_mb_max is not None and spec.memory_mb > memory_mb_max:
                text = f"The function needs {spec.memory_mb} MB; this node gives functions {memory_mb_max} MB in all."
                raise RuntimeFailure(text) from None
        clock = self._platform.clock
        deadline = clock.now() + limits.ADMISSION_SECONDS
        while (remaining_seconds := deadline - clock.now()) > 0:
            self._freed.clear()
            # Also without a signal: an instance may become idle a moment after its answer.
            await clock.wait(self._freed, min(remaining_seconds, limits.ADMISSION_LOOK_SECONDS))
            try:
                return await self._pool.invoke(spec, invocation)
            except TooManyInstances:
                continue
        raise TooManyInstances("No function instance became free in time.")

    async def _make_spec(self, version: Version) -> FunctionSpec:
        code_dir = await self._code.folder(version.code)
        layer_dirs = [await self._code.folder(layer.code) for layer in version.layers]
        environment = {
            "AWS_ENDPOINT_URL": self._platform.endpoint(),
            **(version.environment or {}),
            **await credentials_for(self._platform, version),
        }
        is_json = version.logging.log_format == "JSON"
        spec = FunctionSpec(
            arn=version.arn,
            name=version.name,
            runtime=version.runtime,
            handler=version.handler,
            code_dir=code_dir,
            revision=version.revision,
            region=version.region,
            account=version.account,
            version=version.version,
            layer_dirs=tuple(layer_dirs),
            environment=environment,
            timeout_seconds=version.timeout_seconds,
            memory_mb=version.memory_mb,
            ephemeral_storage_mb=version.ephemeral_storage_mb,
            log_group=version.log_group,
            log_format="JSON" if is_json else "Text",
            log_level=version.logging.application_log_level or "" if is_json else "",
        )
        self._specs[version.arn] = spec
        return spec

    def _on_function(self, key: str, function: Function | None) -> None:
        account, region, name = key_parts(key)
        arn = f"{function_arn(account, region, name)}:{LATEST}"
        revision = None if function is None else function.latest.revision
        self._forget(arn, revision)

    def _on_version(self, key: str, version: Version | None) -> None:
        account, region, name, number = key_parts(key)
        arn = f"{function_arn(account, region, name)}:{number.lstrip('0')}"
        self._forget(arn, None if version is None else version.revision)

    def _forget(self, arn: str, revision: str | None) -> None:
        """Let go of instances of other revisions of a version: its code or configuration has changed, or it is gone."""
        spec = self._specs.get(arn)
        if spec is not None and spec.revision != revision:
            del self._specs[arn]
            self._pool.evict(arn, keep_revision=revision)
