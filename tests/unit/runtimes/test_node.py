"""Node.js functions under our runtime client, as real processes."""

# ruff: noqa: E501 - exact texts and tables of cases stay on their line

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.node


def _payload(result):
    return json.loads(result.payload)


def test_handler_gets_event_and_context(run, node):
    spec = node(
        """
        exports.handler = async (event, context) => {
          console.log("hello", event);
          return [event, context.awsRequestId, context.functionName, context.memoryLimitInMB,
                  context.invokedFunctionArn, context.getRemainingTimeInMillis() <= 3000];
        };
        """
    )

    async def test(bench):
        result = await bench.call(spec, b'{"a": 1}')
        assert _payload(result) == [{"a": 1}, "req-1", "f", "128", spec.arn, True]
        assert re.search(r"\n\d{4}-\S+Z\treq-1\tINFO\thello \{ a: 1 \}\n", result.log_tail.decode())

    run(test)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("(event, context, callback) => { setTimeout(() => callback(null, 'called'), 5); }", "called"),
        ("(event, context) => { context.succeed('succeeded'); }", "succeeded"),
        ("(event, context) => { context.done(null, 'done'); }", "done"),
        ("() => {}", None),
        ("async () => undefined", None),
        ("() => new Promise(() => {})", None),
    ],
)
def test_ways_to_give_a_result(run, node, body, expected):
    spec = node(f"exports.handler = {body};")

    async def test(bench):
        result = await bench.call(spec)
        assert (_payload(result), result.function_error) == (expected, None)
        assert _payload(await bench.call(spec, request_id="req-2")) == expected

    run(test)


def test_callback_waits_for_the_event_loop_unless_told_not_to(run, node):
    spec = node(
        """
        exports.handler = (event, context, callback) => {
          context.callbackWaitsForEmptyEventLoop = event;
          setTimeout(() => {}, 400);
          callback(null, 1);
        };
        """
    )

    async def test(bench):
        assert (await bench.call(spec, b"true")).duration_ms >= 390
        assert (await bench.call(spec, b"false")).duration_ms < 350

    run(test)


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        ("async () => { throw new TypeError('bad'); }", "TypeError", "bad"),
        ("() => { throw new RangeError('sync'); }", "RangeError", "sync"),
        ("(e, c, callback) => callback(new Error('back'))", "Error", "back"),
        ("(e, c, callback) => callback('text')", "string", "text"),
        ("async () => ({ n: 1n })", "Runtime.MarshalError", "Unable to stringify response body as json: "),
    ],
)
def test_handler_error_is_passed_through_and_the_instance_lives_on(run, node, body, error_type, message):
    spec = node(f"exports.handler = {body};")

    async def test(bench):
        result = await bench.call(spec)
        assert (result.function_error, result.error_type) == ("Unhandled", error_type)
        assert _payload(result)["errorMessage"].startswith(message)
        assert isinstance(_payload(result)["trace"], list)
        assert "\tERROR\tInvoke Error \t{" in result.log_tail.decode()
        assert bench.pool.idle_count == 1

    run(test)


@pytest.mark.parametrize(
    ("statement", "error_type", "title"),
    [
        ("setTimeout(() => { throw new Error('late'); }, 1)", "Error", "Uncaught Exception"),
        ("Promise.reject(new Error('late'))", "Runtime.UnhandledPromiseRejection", "Unhandled Promise Rejection"),
    ],
)
def test_uncaught_errors_end_the_instance(run, node, statement, error_type, title):
    spec = node(f"exports.handler = async () => {{ {statement}; await new Promise((r) => setTimeout(r, 2000)); }};")

    async def test(bench):
        result = await bench.call(spec)
        assert (result.function_error, result.error_type) == ("Unhandled", error_type)
        assert "late" in _payload(result)["errorMessage"]
        assert f"\tERROR\t{title} \t" in result.log_tail.decode()
        await bench.until(lambda: bench.pool.instance_count == 0)

    run(test)


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        ("require('nothing-there');", "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nothing-there'"),
        ("exports.x = 1;", "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ("exports.handler = 1;", "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function"),
        ("exports.handler = (", "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ("", "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ("", "other.handler", "Runtime.ImportModuleError", "Error: Cannot find module"),
        ("throw new Error('top');", "index.handler", "Error", "top"),
    ],
)  # fmt: skip
def test_init_error_is_the_result(run, node, source, handler, error_type, message):
    spec = node(source, handler)

    async def test(bench):
        result = await bench.call(spec)
        assert (result.function_error, result.error_type) == ("Unhandled", error_type)
        assert _payload(result)["errorMessage"].startswith(message)

    run(test)


@pytest.mark.parametrize(
    ("file", "source", "handler"),
    [
        ("index.mjs", "export const handler = async () => 'ran';", "index.handler"),
        ("index.cjs", "exports.handler = async () => 'ran';", "index.handler"),
        ("src/deep/main.js", "exports.handler = async () => 'ran';", "src/deep/main.handler"),
        ("index.js", "exports.api = { get: async () => 'ran' };", "index.api.get"),
        ("index.mjs", "export default { handler: async () => 'ran' };", "index.handler"),
        ("index.mjs", "await new Promise((r) => setTimeout(r, 5)); export const handler = async () => 'ran';", "index.handler"),
    ],
)  # fmt: skip
def test_handlers_are_found_where_lambda_finds_them(run, node, file, source, handler):
    spec = node(source, handler, file)

    async def test(bench):
        assert _payload(await bench.call(spec)) == "ran"

    run(test)


def test_package_json_makes_js_files_es_modules(run, node):
    node('{"type": "module"}', file="package.json")
    spec = node("export const handler = async () => import.meta.url.slice(-8);")

    async def test(bench):
        assert _payload(await bench.call(spec)) == "index.js"

    run(test)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("index.mjs", "import { name } from '@aws-sdk/client-fake'; export const handler = async () => name;"),
        ("index.js", "exports.handler = async () => require('@aws-sdk/client-fake').name;"),
        ("index.js", "exports.handler = async () => (await import('@aws-sdk/client-fake')).name;"),
    ],
)
def test_sdk_of_the_machine_is_found_by_require_and_import(run, node, tmp_path, file, source):
    folder = tmp_path / "state" / "node_modules" / "@aws-sdk" / "client-fake"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "@aws-sdk/client-fake", "main": "main.js"}')
    (folder / "main.js").write_text("exports.name = 'found';")
    spec = node(source, file=file)

    async def test(bench):
        assert _payload(await bench.call(spec)) == "found"

    run(test)


def test_missing_sdk_says_what_to_do(run, node, tmp_path):
    spec = node("import '@aws-sdk/client-s3'; export const handler = async () => 1;", file="index.mjs")

    async def test(bench):
        message = _payload(await bench.call(spec))["errorMessage"]
        assert "bundle @aws-sdk/client-s3 with the function, or install it in" in message
        assert str(tmp_path / "state" / "node_modules") in message

    run(test)


def test_streamed_response_is_collected_with_its_prelude(run, node):
    spec = node(
        """
        exports.handler = awslambda.streamifyResponse(async (event, stream) => {
          stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
          stream.write("a");
          await new Promise((resolve) => setTimeout(resolve, 5));
          stream.write("b");
          stream.end();
        });
        """
    )

    async def test(bench):
        for request_id in ("req-1", "req-2"):
            result = await bench.call(spec, request_id=request_id)
            assert result.payload == b'{"statusCode":201}' + bytes(8) + b"ab"
            assert result.content_type == "application/vnd.awslambda.http-integration-response"
            assert result.function_error is None

    run(test)


def test_stream_that_fails_midway_is_an_error(run, node):
    spec = node(
        "exports.handler = awslambda.streamifyResponse(async (e, s) => { s.write('a'); throw new TypeError('mid'); });"
    )

    async def test(bench):
        result = await bench.call(spec)
        assert (result.payload, result.function_error, result.error_type) == (b"a", "Unhandled", "TypeError")

    run(test)


def test_json_logs_are_one_document_a_line(run, node):
    spec = node("exports.handler = async () => { console.warn('careful', 1); };", log_format="JSON")

    async def test(bench):
        await bench.call(spec)
        [line] = [text for text in bench.log if "careful" in text]
        record = json.loads(line)
        assert (record["level"], record["message"], record["requestId"]) == ("WARN", "careful 1", "req-1")

    run(test)


def test_heap_that_outgrows_the_memory_ends_the_instance(run, node):
    spec = node(
        "exports.handler = async () => { const a = []; for (;;) a.push(new Array(1e5).fill(Math.random())); };",
        timeout_seconds=20,
    )

    async def test(bench):
        result = await bench.call(spec)
        assert result.error_type in ("Runtime.OutOfMemory", "Runtime.ExitError")
        assert "Runtime exited with error: signal: " in _payload(result)["errorMessage"]

    run(test)


# --- What would miss the node ---------------------------------------------------------------------------------------


@contextmanager
def answering():
    """A plain HTTP server on loopback, and the requests that it gets."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.headers["host"], self.path, body.decode()))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "call",
    [
        'https.request({hostname: url.hostname, port: 443, path: url.pathname, method: "PUT", headers}, done)',
        'request({host: url.hostname, port: url.port, path: "/cloudformation-answers-x/k", method: "PUT", headers}, done)',
        'https.request(String(url).replace("http:", "https:"), {method: "PUT", headers}, done)',
    ],
)
def test_answer_by_tls_reaches_a_node_without(run, node, call):
    """AWS's published cfn-response sends to port 443 whatever the URL says."""
    with answering() as (url, got):
        source = f"""
            const https = require("https"), {{ request }} = https;
            exports.handler = (event) => new Promise((done, fail) => {{
              const url = new URL(event.url), headers = {{"content-length": 2}};
              const sent = {call};
              sent.on("error", fail);
              sent.end("ok");
            }}).then((response) => response.statusCode);
        """
        spec = node(source, environment={"AWS_ENDPOINT_URL": url})

        async def test(bench):
            event = json.dumps({"url": f"{url}/cloudformation-answers-x/k"}).encode()
            assert _payload(await bench.call(spec, event)) == 200

        run(test)
        assert got == [(url.removeprefix("http://"), "/cloudformation-answers-x/k", "ok")]


def test_file_of_the_functions_folder_is_found_by_its_name(run, node):
    """As Lambda's NODE_PATH has it: inline code requires `cfn-response` like that."""
    spec = node("const { answer } = require('helper'); exports.handler = async () => answer;")
    (spec.code_dir / "helper.js").write_text("exports.answer = 42;")

    async def test(bench):
        assert _payload(await bench.call(spec)) == 42

    run(test)


def test_second_version_of_the_sdk_is_led_to_the_node(run, node):
    """It takes its endpoint only from code."""
    spec = node(
        """
        const AWS = require("aws-sdk");
        exports.handler = async () => AWS.config;
        """,
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:9/"},
    )
    package = spec.code_dir / "node_modules" / "aws-sdk"
    package.mkdir(parents=True)
    (package / "index.js").write_text(
        "exports.VERSION = '2.1692.0'; exports.config = { update(values) { Object.assign(this, values); } };"
    )

    async def test(bench):
        assert _payload(await bench.call(spec)) == {"endpoint": "http://127.0.0.1:9", "s3ForcePathStyle": True}

    run(test)
