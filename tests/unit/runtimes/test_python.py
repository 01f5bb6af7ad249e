"""Python functions under awslambdaric, as real processes."""

# ruff: noqa: E501 - exact texts and tables of cases stay on their line
# ruff: noqa: PTH208 - names, not paths

import json
import os
import re

import pytest

from forebay.core.errors import RuntimeFailure
from forebay.runtimes.interpreters import Interpreters


def test_handler_gets_event_and_context_and_its_return_value_is_the_payload(run, python):
    spec = python(
        """
        def handler(event, context):
            return [event, context.aws_request_id, context.function_name, context.invoked_function_arn,
                    context.memory_limit_in_mb, 0 < context.get_remaining_time_in_millis() <= 3000]
        """
    )

    async def test(bench):
        result = await bench.call(spec, b'{"a": 1}')
        assert json.loads(result.payload) == [{"a": 1}, "req-1", "f", spec.arn, "128", True]
        assert result.function_error is None

    run(test)


def test_log_has_the_platform_lines_of_lambda(run, python):
    spec = python("print('loading')\ndef handler(event, context):\n    print('hello')\n    print('again', end='')\n")

    async def test(bench):
        cold = await bench.call(spec)
        warm = await bench.call(spec, request_id="req-2")
        first, second = "\n".join(bench.log).split("START RequestId: req-2")
        assert re.fullmatch(
            r"INIT_START Runtime Version: python:3\.11\.\d+\tRuntime Version ARN: "
            r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}\n"
            r"loading\n"
            r"START RequestId: req-1 Version: \$LATEST\n"
            r"hello\n"
            r"END RequestId: req-1\n"
            r"REPORT RequestId: req-1\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
            r"Max Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n",
            first,
        )
        assert "Init Duration" not in second
        assert warm.init_ms is None
        assert cold.billed_ms >= cold.init_ms + cold.duration_ms
        assert warm.log_tail.startswith(b"START RequestId: req-2")
        assert warm.log_tail.endswith(second.rpartition("\n")[2].encode() + b"\n")
        assert 5 < warm.memory_used_mb < 128

    run(test)


def test_log_stream_is_named_by_day_version_and_instance(run, python):
    spec = python("def handler(event, context): return context.log_stream_name", version="7")

    async def test(bench):
        result = await bench.call(spec)
        assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[7\][0-9a-f]{32}", result.log_stream)
        assert json.loads(result.payload) == result.log_stream
        assert {stream for _, stream, _ in bench.events} == {result.log_stream}

    run(test)


def test_a_logged_message_of_many_lines_is_one_event(run, python):
    spec = python(
        "import logging\ndef handler(event, context):\n    logging.getLogger().warning('one\\ntwo')\n",
    )

    async def test(bench):
        await bench.call(spec)
        [event] = [text for text in bench.log if "one" in text]
        assert re.fullmatch(r"\[WARNING\]\t\d{4}-.*Z\treq-1\tone\ntwo", event)

    run(test)


def test_handler_error_is_passed_through(run, python):
    spec = python("def handler(event, context):\n    raise ValueError('no good')\n")

    async def test(bench):
        result = await bench.call(spec)
        document = json.loads(result.payload)
        assert (result.function_error, result.error_type) == ("Unhandled", "ValueError")
        assert (document["errorMessage"], document["errorType"], document["requestId"]) == (
            "no good",
            "ValueError",
            "req-1",
        )
        assert "line 2, in handler" in document["stackTrace"][0]
        assert bench.pool.idle_count == 1

    run(test)


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        ("import nothing_there", "app.handler", "Runtime.ImportModuleError", "Unable to import module 'app': No module named 'nothing_there'"),
        ("def x(): pass", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("def x(:", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': "),
        ("", "app", "Runtime.MalformedHandlerName", "Bad handler 'app': not enough values to unpack"),
        ("raise KeyError('x')", "app.handler", "KeyError", "'x'"),
    ],
)  # fmt: skip
def test_init_error_is_the_result(run, python, source, handler, error_type, message):
    spec = python(source, handler)

    async def test(bench):
        result = await bench.call(spec)
        assert (result.function_error, result.error_type) == ("Unhandled", error_type)
        assert json.loads(result.payload)["errorMessage"].startswith(message)
        assert any(
            line.startswith("INIT_REPORT") and line.endswith(f"\tStatus: error\tError Type: {error_type}")
            for line in bench.log
        )
        await bench.until(lambda: bench.pool.instance_count == 0)

    run(test)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os._exit(1)", "exited with error: exit status 1"),
        ("os._exit(0)", "exited without providing a reason"),
        ("sys.exit(7)", "exited with error: exit status 7"),
        ("os.kill(os.getpid(), 9)", "exited with error: signal: killed"),
    ],
)
@pytest.mark.parametrize("isolate", [True, False])
def test_crash_is_an_exit_error(run, python, code, words, isolate):
    spec = python(f"import os, sys\ndef handler(event, context):\n    {code}\n")

    async def test(bench):
        result = await bench.call(spec)
        assert json.loads(result.payload) == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: req-1 Error: Runtime {words}",
        }
        assert result.function_error == "Unhandled"
        tail = result.log_tail.decode().splitlines()
        assert tail[-4:-1] == [f"RequestId: req-1 Error: Runtime {words}", "Runtime.ExitError", "END RequestId: req-1"]
        assert tail[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError\t")

    run(test, isolate=isolate)


def test_timeout_kills_the_instance_and_answers_as_lambda(run, python):
    spec = python(
        "import time\ndef handler(event, context):\n    print('before')\n    time.sleep(60)\n", timeout_seconds=0.25
    )

    async def test(bench):
        result = await bench.call(spec)
        assert json.loads(result.payload) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": "RequestId: req-1 Error: Task timed out after 0.25 seconds",
        }
        assert (result.function_error, result.error_type) == ("Unhandled", "Sandbox.Timedout")
        tail = result.log_tail.decode()
        assert re.search(r"\nbefore\n\d{4}-\d\d-\d\dT[\d:.]+Z req-1 Task timed out after 0\.25 seconds\n\nEND ", tail)
        assert tail.endswith("\tStatus: timeout\t\n")
        assert 250 <= result.duration_ms < 2000
        await bench.until(lambda: bench.pool.instance_count == 0)

    run(test)


def test_init_that_takes_too_long_is_tried_again_within_the_timeout(run, python, tmp_path):
    # Slow the first time only: the second try serves the event.
    flag = tmp_path / "seen"
    spec = python(
        f"""
        import os, time
        if not os.path.exists({str(flag)!r}):
            open({str(flag)!r}, "w").close()
            time.sleep(60)
        def handler(event, context): return "served"
        """
    )

    async def test(bench):
        result = await bench.call(spec)
        assert json.loads(result.payload) == "served"
        assert [
            line
            for line in bench.log
            if re.fullmatch(r"INIT_REPORT Init Duration: \S+ ms\tPhase: init\tStatus: timeout", line)
        ]

    run(test, init_seconds_max=0.5)


def test_environment_is_lambdas_and_nothing_of_the_node(run, python, monkeypatch):
    monkeypatch.setenv("FOREBAY_SECRET", "x")
    spec = python(
        "import os\ndef handler(event, context): return dict(os.environ)",
        environment={"MINE": "1", "AWS_ACCESS_KEY_ID": "k", "AWS_REGION": "ignored", "TZ": "Europe/Vienna"},
    )

    async def test(bench):
        environment = json.loads((await bench.call(spec)).payload)
        expected = {
            "MINE": "1",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "LAMBDA_TASK_ROOT": str(spec.code_dir),
            "_HANDLER": "app.handler",
            "TZ": "Europe/Vienna",
        }
        assert environment.items() >= expected.items()
        others = environment.keys() - expected.keys()
        assert others <= {
            "LANG", "PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "PWD", "PYTHONPATH", "LAMBDA_RUNTIME_DIR",
            "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_XRAY_CONTEXT_MISSING", "LC_CTYPE",
        }  # fmt: skip

    run(test)


def test_function_finds_boto3_but_nothing_else_of_this_installation(run, python):
    spec = python(
        """
        def handler(event, context):
            import boto3
            found = [boto3.__name__]
            for name in ("forebay", "msgspec", "httptools", "pytest", "yaml"):
                try:
                    __import__(name)
                except ImportError:
                    continue
                found.append(name)
            return found
        """,
        memory_mb=256,
    )

    async def test(bench):
        assert json.loads((await bench.call(spec)).payload) == ["boto3"]

    run(test)


def test_trace_id_reaches_the_environment_and_client_context_the_context(run, python):
    from forebay.runtimes.contract import Invocation

    spec = python(
        """
        import os
        def handler(event, context):
            return [os.environ.get("_X_AMZN_TRACE_ID"), context.client_context.custom, context.identity.cognito_identity_id]
        """
    )

    async def test(bench):
        invocation = Invocation(
            request_id="r",
            payload=b"{}",
            trace_id="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            client_context_json='{"custom": {"a": "b"}}',
            cognito_identity_json='{"cognitoIdentityId": "id"}',
        )
        result = await bench.pool.invoke(spec, invocation)
        assert json.loads(result.payload) == [invocation.trace_id, {"a": "b"}, "id"]

    run(test)


def test_layers_are_searched_after_the_function_and_the_last_layer_first(run, python, tmp_path):
    for name, modules in {"one": ("both", "only"), "two": ("both",)}.items():
        folder = tmp_path / name / "python"
        folder.mkdir(parents=True)
        for module in modules:
            (folder / f"{module}.py").write_text(f"WHERE = {name!r}")
    (tmp_path / "two" / "bin").mkdir()
    tool = tmp_path / "two" / "bin" / "tool"
    tool.write_text("#!/bin/sh\necho from-layer")
    tool.chmod(0o755)
    spec = python(
        """
        import subprocess, both, only
        def handler(event, context):
            return [both.WHERE, only.WHERE, subprocess.check_output(["tool"], text=True).strip()]
        """,
        layer_dirs=(tmp_path / "one", tmp_path / "two"),
    )

    async def test(bench):
        assert json.loads((await bench.call(spec)).payload) == ["two", "one", "from-layer"]

    run(test)


@pytest.mark.parametrize("isolate", [True, False])
def test_code_folder_stays_as_it_was(run, python, isolate):
    spec = python("import other\ndef handler(event, context): return other.X")
    (spec.code_dir / "other.py").write_text("X = 1")

    async def test(bench):
        assert (await bench.call(spec)).payload == b"1"
        assert sorted(os.listdir(spec.code_dir)) == ["app.py", "other.py"]

    run(test, isolate=isolate)


def test_response_of_six_megabytes_passes_and_more_is_an_error(run, python):
    spec = python("def handler(event, context): return 'x' * event", memory_mb=256)

    async def test(bench):
        most = 6_291_556 - 2
        assert len((await bench.call(spec, str(most).encode())).payload) == most + 2
        result = await bench.call(spec, str(most + 1).encode())
        assert json.loads(result.payload) == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size (6291557 bytes) exceeded maximum allowed payload size (6291556 bytes).",
        }
        assert result.function_error == "Unhandled"

    run(test)


def test_event_of_six_megabytes_reaches_the_handler(run, python):
    spec = python("def handler(event, context): return len(event)", memory_mb=256)

    async def test(bench):
        payload = json.dumps("x" * 6_000_000).encode()
        assert (await bench.call(spec, payload)).payload == b"6000000"

    run(test)


def test_nearest_interpreter_runs_a_missing_version_and_strict_refuses(run, python):
    spec = python("def handler(event, context): return 'ran'", runtime="python3.99")

    async def lenient(bench):
        assert "python3.99 is not installed here" in await bench.pool.check("python3.99")
        assert await bench.pool.check("python3.11") == await bench.pool.check("provided.al2") == ""
        assert (await bench.call(spec)).payload == b'"ran"'

    async def strict(bench):
        with pytest.raises(RuntimeFailure, match=r"python3\.99 is not installed here"):
            await bench.call(spec)

    run(lenient)
    run(strict, exact=True)


def test_every_other_python_of_the_machine_runs_functions(run, python):
    interpreters = Interpreters()
    versions = [f"python3.{minor}" for minor in range(9, 15) if interpreters.find(f"python3.{minor}").exact]
    source = "import sys\ndef handler(event, context):\n    if event: raise ValueError(event)\n    return sys.version_info[:2]"

    async def test(bench):
        for version in versions:
            spec = python(source, runtime=version, revision=version)
            good = await bench.call(spec)
            bad = await bench.call(spec, b'"bad"')
            assert json.loads(good.payload) == [3, int(version.removeprefix("python3."))]
            assert (bad.error_type, json.loads(bad.payload)["errorMessage"]) == ("ValueError", "bad")

    run(test)
    assert versions


@pytest.mark.parametrize("runtime", ["nodejs8.10", "nodejs4.3", "nodejs12.x"])
def test_old_names_of_node_runtimes_find_the_nearest(run, node, runtime):
    async def test(bench):
        assert f"{runtime} is not installed here" in await bench.pool.check(runtime)

    run(test)


def test_answer_by_tls_reaches_a_node_without(run, python):
    """Helpers of custom resources connect by HTTPS whatever the URL says."""
    spec = python(
        """
        from http.client import HTTPSConnection
        import socket, threading

        def handler(event, context):
            server = socket.create_server(("127.0.0.1", 8799))
            got = []
            def serve():
                connection, _ = server.accept()
                got.append(connection.recv(100))
                connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
                connection.close()
            thread = threading.Thread(target=serve)
            thread.start()
            connection = HTTPSConnection("127.0.0.1:8799", timeout=5)
            connection.request("PUT", "/answer")
            status = connection.getresponse().status
            thread.join()
            return [status, got[0][:16].decode()]
        """,
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:8799/"},
    )

    async def test(bench):
        assert json.loads((await bench.call(spec)).payload) == [200, "PUT /answer HTTP"]

    run(test)


def test_unsupported_runtime_is_named(run, python):
    spec = python("", runtime="java21")

    async def test(bench):
        with pytest.raises(RuntimeFailure, match="Runtime dotnet8 cannot run here"):
            await bench.pool.check("dotnet8")
        with pytest.raises(RuntimeFailure, match=r"Runtime java21 .* supported: python3\.\*, nodejs\*, provided\*"):
            await bench.call(spec)
        assert bench.pool.instance_count == 0

    run(test)
