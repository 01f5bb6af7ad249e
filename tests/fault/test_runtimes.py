"""Hostile and unlucky functions: what they do must not harm the node, other functions, or outlive either."""

# ruff: noqa: E501 - exact texts and tables of cases stay on their line
# ruff: noqa: PTH208 - names, not paths
# ruff: noqa: F811 - fixtures are imported, and are parameters

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

from forebay.runtimes.contract import FunctionSpec, PoolLimits
from tests.unit.runtimes.conftest import Bench, node, python, run  # noqa: F401 - fixtures


def _is_running(pid: int) -> bool:
    try:
        return b"State:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return False


def _processes_named(marker: str) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                if marker.encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                    found.append(int(entry))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("isolate", [True, False])
def test_memory_bomb_is_killed_and_the_node_lives_on(run, python, isolate):
    spec = python(
        """
        def handler(event, context):
            hoard = []
            while event:
                hoard.append(bytearray(4_000_000))
            return "fine"
        """,
        timeout_seconds=20,
    )

    async def test(bench):
        result = await bench.call(spec, b"1")
        assert json.loads(result.payload) == {
            "errorType": "Runtime.OutOfMemory",
            "errorMessage": "RequestId: req-1 Error: Runtime exited with error: signal: killed",
        }
        assert b"Max Memory Used: 128 MB\t" in result.log_tail
        assert (await bench.call(spec, b"0")).payload == b'"fine"'

    run(test, isolate=isolate)


def test_one_huge_allocation_is_refused(run, python):
    spec = python("def handler(event, context): return len(bytearray(8_000_000_000))")

    async def test(bench):
        assert (await bench.call(spec)).error_type == "MemoryError"

    run(test)


@pytest.mark.parametrize("isolate", [True, False])
def test_endless_output_is_throttled_and_the_timeout_still_strikes(run, python, isolate):
    spec = python("def handler(event, context):\n    while True: print('x' * 100)\n", timeout_seconds=1)

    async def test(bench):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(tick())
            result = await bench.call(spec)
            ticking.cancel()
        assert result.error_type == "Sandbox.Timedout"
        assert sum(map(len, bench.log)) < 20_000_000
        assert len(result.log_tail) <= 4096
        # The loop stayed free for others all the while.
        assert ticks > 30

    run(test, isolate=isolate)


def test_garbage_in_the_telemetry_stream_is_only_text(run, python):
    spec = python(
        """
        import os
        def handler(event, context):
            for fd in range(3, 64):
                try:
                    os.write(fd, b"\\xff" * 64)
                except OSError:
                    pass
            return "wrote"
        """
    )

    async def test(bench):
        await bench.call(spec)  # may fail: the function wrote into its own API connection too
        assert (await bench.call(python("def handler(e, c): return 1", revision="2"))).payload == b"1"

    run(test)


@pytest.mark.parametrize("isolate", [True, False])
def test_children_left_behind_end_with_their_instance(run, python, isolate):
    marker = f"3{os.getpid()}{int(isolate)}"
    spec = python(
        f"""
        import os, subprocess
        def handler(event, context):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execvp("sleep", ["sleep", "{marker}"])
                os._exit(0)
            os.wait()
        """
    )

    async def test(bench):
        await bench.call(spec)
        await bench.until(lambda: len(_processes_named(marker)) == 1)
        bench.pool.evict(spec.arn)
        await bench.until(lambda: not _processes_named(marker))

    run(test, isolate=isolate)


def test_kill_of_the_node_leaves_no_function_behind(python, tmp_path):
    marker = f"4{os.getpid()}"
    spec = python(f"import subprocess\ndef handler(event, context): subprocess.Popen(['sleep', '{marker}'])\n")
    script = tmp_path / "node.py"
    script.write_text(
        f"""
import asyncio, sys
from pathlib import Path
from forebay.runtimes.contract import FunctionSpec, PoolLimits
from tests.unit.runtimes.conftest import Bench
from forebay.runtimes.contract import FunctionSpec, PoolLimits
import msgspec
spec = msgspec.convert({msgspec.to_builtins(spec, enc_hook=str)!r}, FunctionSpec, dec_hook=lambda t, v: t(v))
async def main():
    bench = Bench(Path({str(tmp_path)!r}), PoolLimits())
    await bench.call(spec)
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    )
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{Path.cwd()}:{Path.cwd()}/src"},
    ) as node:
        try:
            assert node.stdout is not None
            assert node.stdout.readline() == b"ready\n"
            assert _processes_named(marker)
            assert len(_processes_named(str(tmp_path / "state"))) >= 1
        finally:
            node.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while _processes_named(marker) or _processes_named(str(tmp_path / "state")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_leftovers_of_a_killed_node_are_swept_at_the_next_start(run, python, tmp_path):
    folder = tmp_path / "state" / "instances" / "old" / "tmp"
    folder.mkdir(parents=True)
    stray = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(folder)})

    async def test(bench):
        await bench.call(python("def handler(e, c): return 1"))
        assert not folder.exists()

    run(test)
    assert stray.wait(5) == -signal.SIGKILL


def test_another_functions_process_cannot_take_or_answer_events(run, python):
    victim = python("import time\ndef handler(event, context):\n    time.sleep(1)\n    return 'genuine'")
    thief = msgspec.structs.replace(
        python(
            """
            import http.client, time
            def handler(event, context):
                time.sleep(1)
                return "genuine"
            def steal(event, context):
                answers = []
                for method, path in (("GET", "next"), ("POST", "victim/response")):
                    connection = http.client.HTTPConnection(event, timeout=2)
                    connection.request(method, "/2018-06-01/runtime/invocation/" + path, "forged" if method == "POST" else None)
                    answers.append(connection.getresponse().status)
                return answers
            """
        ),
        arn=victim.arn + "2",
        handler="app.steal",
    )

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            genuine = group.create_task(bench.call(victim, request_id="victim"))
            await bench.until(lambda: any(line.startswith("START") for line in bench.log))
            [instance] = bench.pool._instances
            address = instance.running._launch.api_address
            stolen = await bench.call(thief, json.dumps(address).encode(), "thief")
        assert json.loads(stolen.payload) == [403, 403]
        assert genuine.result().payload == b'"genuine"'

    run(test)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /2018-06-01/runtime/nothing HTTP/1.1\r\n\r\n",
        b"PUT /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n",
        b"POST /2018-06-01/runtime/invocation/wrong/response HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /2018-06-01/runtime/invocation/req-1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /x HTTP/1.1\r\n" + b"a: " + b"b" * 3_000_000 + b"\r\n\r\n",
    ],
)
def test_bad_requests_of_a_runtime_do_not_disturb_it(run, python, request_bytes):
    spec = python(
        f"""
        import os, socket
        def handler(event, context):
            host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                try:
                    connection.sendall({request_bytes[:60]!r} + {request_bytes[60:100]!r} * {max(1, len(request_bytes) // 40)})
                    connection.settimeout(0.3)
                    return connection.recv(100).decode()[:12]
                except OSError:
                    return "cut off"
        """
        if len(request_bytes) > 1000
        else f"""
        import os, socket
        def handler(event, context):
            host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall({request_bytes!r})
                connection.settimeout(0.3)
                try:
                    return connection.recv(100).decode()[:12]
                except OSError:
                    return "no answer"
        """
    )

    async def test(bench):
        answer = json.loads((await bench.call(spec)).payload)
        assert answer in ("", "cut off", "no answer", "HTTP/1.1 400", "HTTP/1.1 403", "HTTP/1.1 404")

    run(test)


def test_a_runtime_that_lingers_after_its_response_does_not_hold_up_the_caller(run, python):
    spec = python("", runtime="provided.al2023")
    (spec.code_dir / "bootstrap").write_text(
        """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  curl -s -o /dev/null "$api/next"
  curl -s -d '"done"' "$api/req-1/response" > /dev/null
  sleep 60
done
"""
    )
    (spec.code_dir / "bootstrap").chmod(0o755)

    async def test(bench):
        result = await bench.call(spec)
        assert (result.payload, result.function_error) == (b'"done"', None)
        assert result.duration_ms < 1000
        # It is not given another event, and its timeout ends it.
        assert bench.pool.idle_count == 0
        await bench.until(lambda: bench.pool.instance_count == 0)

    run(test)


def test_code_is_read_only_in_a_namespace(run, python):
    spec = python("def handler(event, context): open('written', 'w')")

    async def test(bench):
        if bench.actuator.describe() == "plain processes":
            pytest.skip("this system does not allow namespaces")
        result = await bench.call(spec)
        assert result.error_type == "OSError"
        assert not (spec.code_dir / "written").exists()

    run(test)


def test_many_rounds_of_mixed_failures_leave_nothing(run, python):
    spec = python(
        """
        import os, time
        def handler(event, context):
            if event == "crash": os._exit(3)
            if event == "hang": time.sleep(60)
            if event == "raise": raise ValueError()
            return event
        """,
        timeout_seconds=0.5,
    )
    expected = {"crash": "Runtime.ExitError", "hang": "Sandbox.Timedout", "raise": "ValueError", "fine": ""}

    async def test(bench):
        async with asyncio.TaskGroup() as group:
            calls = [
                (kind, group.create_task(bench.call(spec, json.dumps(kind).encode(), f"r{n}")))
                for n in range(4)
                for kind in expected
            ]
        for kind, call in calls:
            assert call.result().error_type == expected[kind]

    run(test)


@pytest.mark.skipif(sys.prefix.startswith("/tmp/"), reason="the interpreter lies in /tmp, which then stays shared")
def test_tmp_itself_is_private_in_a_namespace():
    Path("/tmp/forebay-test-mine").unlink(missing_ok=True)
    # Outside /tmp, because what is needed there cannot be hidden by a mount.
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(
        "import os\ndef handler(event, context):\n    open('/tmp/forebay-test-mine', 'x').close()\n    return os.listdir('/tmp')\n"
    )
    spec = FunctionSpec(
        arn="arn",
        name="f",
        runtime="python3.11",
        handler="app.handler",
        code_dir=folder / "code",
        revision="1",
        region="us-east-1",
        account="0",
    )

    async def main():
        bench = Bench(folder, PoolLimits())
        if bench.actuator.describe() == "plain processes":
            pytest.skip("this system does not allow namespaces")
        for revision in "12":
            result = await bench.call(msgspec.structs.replace(spec, revision=revision))
            assert json.loads(result.payload) == ["forebay-test-mine"]
        await bench.pool.close()
        assert os.listdir(folder / "state" / "instances") == []

    try:
        asyncio.run(main())
        assert not Path("/tmp/forebay-test-mine").exists()
    finally:
        shutil.rmtree(folder)
