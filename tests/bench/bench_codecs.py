"""What the codecs cost: import time and memory of each generated module, and microseconds for SQS SendMessage.

Run as `python tests/bench/bench_codecs.py`; every module is measured in a process of its own, from its bytecode.
"""
# ruff: noqa: T201  it prints what it measures

import json
import os
import subprocess
import sys
import tempfile
import timeit

_MEASURE = """
import importlib, json, sys, time
import forebay.core.shapes
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4
before = resident()
started = time.perf_counter()
module = importlib.import_module("forebay.api." + sys.argv[1])
seconds = time.perf_counter() - started
print(json.dumps([len(module.MODEL.operations), seconds * 1000, resident() - before]))
"""


def measure_modules() -> None:
    from tools.services import SERVICES

    print(f"{'module':26}{'operations':>10}{'import ms':>11}{'kB':>8}")
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        for service in SERVICES:
            command = [sys.executable, "-c", _MEASURE, service.module]
            runs = [json.loads(subprocess.check_output(command, env=environment)) for _ in range(4)]
            operations, milliseconds, kilobytes = min(runs, key=lambda run: run[1])
            print(f"{service.module:26}{operations:>10}{milliseconds:>11.1f}{kilobytes:>8}")


def measure_send_message() -> None:
    from forebay.api import sqs
    from forebay.core.http import Request
    from forebay.wire.codecs import codec_for

    operation = sqs.MODEL.operations["SendMessage"]
    url = "http://localhost:4566/000000000000/orders"
    output = sqs.SendMessageResult(md5_of_message_body="0" * 32, message_id="0" * 36)
    forms = {
        "json": json.dumps({"QueueUrl": url, "MessageBody": "x" * 200}).encode(),
        "query": f"Action=SendMessage&Version=2012-11-05&QueueUrl={url}&MessageBody={'x' * 200}".encode(),
    }
    wrong = json.dumps({"QueueUrl": url, "MessageBody": 5}).encode()
    for protocol, body in forms.items():
        codec = codec_for(sqs.MODEL, protocol)
        request = Request("POST", "/", "", {}, body, "localhost", "127.0.0.1", False)
        error = sqs.QueueDoesNotExist("The specified queue does not exist.")
        report(f"{protocol} decode SendMessage", codec.decode, operation, request, {})
        report(f"{protocol} encode SendMessage", codec.encode, operation, output, "0" * 36)
        report(f"{protocol} encode error", codec.encode_error, operation, error, "0" * 36)
    refused = Request("POST", "/", "", {}, wrong, "localhost", "127.0.0.1", False)
    report("json refuse a wrong type", _refused, codec_for(sqs.MODEL, "json"), operation, refused)


def report(name: str, function, *arguments) -> None:
    function(*arguments)
    timer = timeit.Timer(lambda: function(*arguments))
    loops, _ = timer.autorange()
    microseconds = min(timer.repeat(5, loops)) / loops * 1e6
    print(f"{name:30}{microseconds:8.2f} us")


def _refused(codec, operation, request) -> None:
    from forebay.core.errors import ServiceError

    try:
        codec.decode(operation, request, {})
    except ServiceError:
        return
    raise AssertionError("was not refused")


if __name__ == "__main__":
    sys.path.insert(0, ".")
    measure_modules()
    measure_send_message()
