"""The pool: reuse, growth, limits, idleness, draining; with real Python and shell instances."""

# ruff: noqa: PTH208 - names, not paths

import asyncio
import json
import os
from pathlib import Path

import msgspec
import pytest

from forebay.core.errors import RuntimeFailure
from forebay.runtimes.contract import TooManyInstances

PID = "import os\nN = []\ndef handler(event, context):\n    N.append(1)\n    return [context.log_stream_name, len(N)]\n"
SLOW = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return context.log_stream_name\n"


def test_a_warm_instance_serves_again(run, python):
    spec = python(PID)

    async def test(bench):
        first, second = [json.loads((await bench.call(spec)).payload) for _ in range(2)]
        assert (first[0], first[1], second[1]) == (second[0], 1, 2)
        assert bench.pool.instance_count == 1

    run(test)


def test_concurrent_events_get_instances_of_their_own(run, python):
    spec = python(SLOW)

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bench.call(spec, b"0.5", f"req-{n}")) for n in range(5)]
        streams = {task.result().payload for task in tasks}
        assert len(streams) == bench.pool.instance_count == bench.pool.idle_count == 5

    run(test)


def test_the_warmest_instance_is_used_first(run, python):
    spec = python(SLOW)

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            quick = group.create_task(bench.call(spec, b"0.3"))
            late = group.create_task(bench.call(spec, b"0.6"))
        assert (await bench.call(spec, b"0")).payload == late.result().payload != quick.result().payload

    run(test)


def test_idle_instances_end_when_their_time_is_up(run, python):
    spec = python(PID)

    async def test(bench):
        await bench.call(spec)
        bench.clock.freeze()
        bench.clock.advance(200)
        assert 90 < await bench.pool.run_once() <= 100.5
        assert bench.pool.instance_count == 1
        bench.clock.advance(101)
        assert await bench.pool.run_once() == 300
        await bench.until(lambda: bench.pool.instance_count == 0)
        assert bench.pool.idle_count == 0
        await bench.pool.run_once()
        assert os.listdir(bench.actuator._instances_dir) == []

    run(test)


def test_too_many_instances_are_refused_and_counted_by_number_and_memory(run, python):
    spec = python(SLOW)

    async def by_number(bench):
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.call(spec, b"0.5"))
            await asyncio.sleep(0)
            with pytest.raises(TooManyInstances, match="at most 1 function instances"):
                await bench.call(spec, b"0")

    async def by_memory(bench):
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.call(spec, b"0.5"))
            await asyncio.sleep(0)
            with pytest.raises(TooManyInstances, match="at most 200 MB of memory"):
                await bench.call(spec, b"0")

    run(by_number, instances_max=1)
    run(by_memory, memory_mb_max=200)


def test_an_idle_instance_makes_room_for_another_function(run, python):
    one = python(PID)
    other = msgspec.structs.replace(one, arn=one.arn + "2")

    async def test(bench):
        await bench.call(one)
        await bench.call(other)
        await bench.until(lambda: bench.pool.instance_count == 1)

    run(test, instances_max=1)


def test_a_new_revision_drains_the_old_one(run, python):
    old = python(SLOW)
    new = msgspec.structs.replace(old, revision="2")

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            idle = group.create_task(bench.call(old, b"0"))
            busy = group.create_task(bench.call(old, b"1"))
            await idle
            fresh = await bench.call(new, b"0")
            # The busy one finishes its event, and only then ends.
            assert not busy.done()
        assert fresh.payload not in (idle.result().payload, busy.result().payload)
        assert busy.result().function_error is None
        await bench.until(lambda: bench.pool.instance_count == 1)

    run(test)


def test_a_caller_that_gives_up_leaves_a_usable_instance(run, python):
    spec = python(SLOW)

    async def test(bench):
        first = (await bench.call(spec, b"0")).payload
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await bench.call(spec, b"0.4")
        await bench.until(lambda: bench.pool.idle_count == 1)
        assert (await bench.call(spec, b"0")).payload == first

    run(test)


def test_a_caller_that_gives_up_during_the_init_phase_leaves_a_usable_instance(run, python):
    spec = python("import time; time.sleep(0.5)\n" + PID)

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            call = group.create_task(bench.call(spec))
            await bench.until(lambda: any(line.startswith("INIT_START") for line in bench.log))
            call.cancel()
        await bench.until(lambda: bench.pool.idle_count == 1)
        assert json.loads((await bench.call(spec)).payload)[1] == 1
        assert bench.pool.instance_count == 1

    run(test)


def test_close_waits_for_running_events_and_then_refuses(run, python):
    spec = python(SLOW)

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            call = group.create_task(bench.call(spec, b"0.5"))
            await bench.until(lambda: any(line.startswith("START") for line in bench.log))
            await bench.pool.close(drain_seconds=10)
        assert call.result().function_error is None
        with pytest.raises(RuntimeFailure, match="shutting down"):
            await bench.call(spec)

    run(test)


def test_close_ends_what_does_not_drain_in_time(run, python):
    spec = python(SLOW)

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            call = group.create_task(bench.call(spec, b"3"))
            await bench.until(lambda: any(line.startswith("START") for line in bench.log))
            await bench.pool.close(drain_seconds=0.1)
        assert call.result().error_type == "Runtime.ExitError"

    run(test)


def test_provided_function_runs_its_bootstrap(run, python, tmp_path):
    spec = python("", runtime="provided.al2023", handler="any.thing")
    (spec.code_dir / "bootstrap").write_text(
        f"""#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  event=$(curl -s -D {tmp_path}/headers "$api/next")
  id=$(grep -i request-id {tmp_path}/headers | tr -d '\\r' | cut -d' ' -f2)
  if [ "$event" = '"fail"' ]; then
    curl -s -d '{{"errorType":"My.Error","errorMessage":"asked for"}}' "$api/$id/error" > /dev/null
  else
    curl -s -d "$_HANDLER:$event" "$api/$id/response" > /dev/null
  fi
done
"""
    )
    (spec.code_dir / "bootstrap").chmod(0o755)

    async def test(bench):
        assert (await bench.call(spec, b"[1]")).payload == b"any.thing:[1]"
        failed = await bench.call(spec, b'"fail"')
        assert (failed.function_error, failed.error_type) == ("Unhandled", "My.Error")
        assert (await bench.call(spec, b"[2]")).payload == b"any.thing:[2]"
        assert bench.log[0].startswith("INIT_START Runtime Version: provided:al2023\t")

    run(test)


def test_provided_function_without_bootstrap_is_refused(run, python):
    spec = python("", runtime="provided.al2023")

    async def test(bench):
        with pytest.raises(RuntimeFailure, match=r"Couldn't find valid bootstrap\(s\): \[.*bootstrap\]"):
            await bench.call(spec)

    run(test)


def test_bootstrap_that_is_not_executable_is_an_exit_error(run, python):
    spec = python("", runtime="provided.al2023")
    (spec.code_dir / "bootstrap").write_text("#!/bin/sh\n")

    async def test(bench):
        result = await bench.call(spec)
        assert result.error_type == "Runtime.ExitError"
        assert "exit status 126" in json.loads(result.payload)["errorMessage"]

    run(test)


def test_tmp_is_private_and_writable(run, python, tmp_path):
    spec = python(
        """
        import os, tempfile
        def handler(event, context):
            with open(os.path.join(tempfile.gettempdir(), "mine"), "x") as file:
                file.write("x")
            return os.listdir(tempfile.gettempdir())
        """
    )

    async def test(bench):
        other = msgspec.structs.replace(spec, arn=spec.arn + "2")
        for each in (spec, other):
            assert json.loads((await bench.call(each)).payload) == ["mine"]

    run(test)
    assert not Path("/tmp/mine").exists()
