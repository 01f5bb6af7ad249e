"""`forebay serve` as a process: starts, says where, ends cleanly, and refuses in words."""

import json
import signal
import socket
import threading
import urllib.request

import boto3
import pytest

from tests.unit.cli.processes import Served, run


def client(url, service="sqs"):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="any",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_its_state_stays(tmp_path, number):
    with Served(tmp_path / "data") as node:
        client(node.url).create_queue(QueueName="kept")
        assert node.interrupt(number) == (0, "")
    with Served(tmp_path / "data") as node:
        assert len(client(node.url).list_queues()["QueueUrls"]) == 1


def test_it_ends_while_a_client_waits_in_a_long_poll(tmp_path):
    with Served(tmp_path / "data", "--shutdown-seconds", "0.5") as node:
        url = client(node.url).create_queue(QueueName="q")["QueueUrl"]

        def wait():
            request = urllib.request.Request(
                node.url,
                data=json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode(),
                headers={"X-Amz-Target": "AmazonSQS.ReceiveMessage", "Content-Type": "application/x-amz-json-1.0"},
            )
            try:
                urllib.request.urlopen(request, timeout=30).read()
            except OSError:
                return

        waiting = threading.Thread(target=wait)
        waiting.start()
        code, text = node.interrupt()
        waiting.join(10)
        assert code == 0
        assert "Traceback" not in text


def test_second_process_on_the_same_data_is_refused(tmp_path):
    with Served(tmp_path / "data") as node:
        second = run("serve", "--port", "0", "--data", str(tmp_path / "data"))
        assert second.returncode == 2
        assert f"in use by another Forebay (process {node.process.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        assert node.interrupt()[0] == 0


def test_port_in_use_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("serve", "--port", str(port), "--data", str(tmp_path / "data"))
    assert refused.returncode == 2
    assert refused.stderr == f"forebay: Cannot listen on 127.0.0.1:{port}: Address already in use.\n"
    # Nothing is held: the next one starts.
    with Served(tmp_path / "data") as node:
        assert node.interrupt()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--host", "0.0.0.0"], "needs credentials"),
        (["--credentials", "/nowhere/keys"], "The credentials file /nowhere/keys cannot be read"),
        (["--tls-certificate", "/nowhere/c", "--tls-key", "/nowhere/k"], "cannot serve TLS"),
        (["--store", "redis://db"], "There is no store engine for redis"),
        (["--body-bytes-max", "1"], "body_bytes_max"),
        (["--log-level", "loud"], "'loud' is not one of"),
        (["--port", "many"], "'many' is not a valid integer"),
    ],
)
def test_wrong_settings_are_refused_before_anything_starts(tmp_path, arguments, part):
    refused = run("serve", "--port", "0", "--data", str(tmp_path / "data"), *arguments)
    assert refused.returncode == 2
    assert part in refused.stderr
    assert "Traceback" not in refused.stderr


def test_settings_come_from_the_environment(tmp_path):
    refused = run("serve", FOREBAY_HOST="0.0.0.0", FOREBAY_DATA=str(tmp_path / "data"))
    assert refused.returncode == 2
    assert "Listening on 0.0.0.0" in refused.stderr


def test_commands_and_options_are_listed():
    listed = run("--help")
    assert listed.returncode == 0
    for name in ("serve", "up", "deploy", "events", "queues", "doctor"):
        assert f"  {name}" in listed.stdout
    assert run("--version").stdout.startswith("forebay, version ")
    wrong = run("nothing")
    assert (wrong.returncode, "No such command 'nothing'" in wrong.stderr) == (2, True)
