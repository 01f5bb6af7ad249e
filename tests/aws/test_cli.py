"""`forebay up` and `forebay deploy` as processes: deploy, show, deploy again on a change, find the state again, end."""

import json
import queue
import signal
import subprocess
import threading
import urllib.request

import pytest

from tests.unit.cli.processes import COMMAND, environment, run

TEMPLATE = """
Parameters:
  Suffix: {Type: String, Default: a}
Resources:
  Orders:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "orders-${Suffix}"}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [shop]}
      Targets: [{Id: orders, Arn: !GetAtt Orders.Arn}]
Outputs:
  Url: {Value: !Ref Orders}
"""


@pytest.fixture
def shop(tmp_path):
    """A folder with a template."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "template.yaml").write_text(TEMPLATE)
    return folder


def up(tmp_path, *arguments):
    return run("up", *map(str, arguments), "--port", "0", "--data", str(tmp_path / "data"), "--exit")


class Session:
    """A `forebay up` that stays; its lines can be waited for."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, "up", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        self.seen = []
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, part):
        """Return the next line that has `part`."""
        while True:
            try:
                line = self._lines.get(timeout=30)
            except queue.Empty:
                raise AssertionError(f"no {part!r} in:\n{''.join(self.seen)}") from None
            assert line is not None, "".join(self.seen)
            self.seen.append(line)
            if part in line:
                return line

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        self.process.stdout.close()


def test_up_deploys_and_a_second_run_finds_its_state(tmp_path, shop):
    first = up(tmp_path, shop)
    assert first.returncode == 0, first.stderr
    assert "Stack shop deployed." in first.stdout
    assert "/000000000000/orders-a" in first.stdout
    second = up(tmp_path, shop / "template.yaml")
    assert second.returncode == 0, second.stderr
    assert "Stack shop unchanged." in second.stdout
    assert "/000000000000/orders-a" in second.stdout


def test_up_takes_parameters_and_a_name(tmp_path, shop):
    result = up(tmp_path, shop, "--stack-name", "other", "--parameter", "Suffix=b")
    assert result.returncode == 0, result.stderr
    assert "Stack other deployed." in result.stdout
    assert "orders-b" in result.stdout


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("AWS::SQS::Queue", "AWS::SQS::Nothing"), "AWS::SQS::Nothing"),
        (("QueueName:", "QueueNome:"), "QueueNome"),
        (("!GetAtt Orders.Arn", "!GetAtt Missing.Arn"), "Missing"),
        (("Resources:", "Resources: ["), "template.yaml"),
    ],
)
def test_template_that_does_not_deploy_is_a_failure_that_names_why(tmp_path, shop, change, part):
    (shop / "template.yaml").write_text(TEMPLATE.replace(*change))
    result = up(tmp_path, shop)
    assert result.returncode == 1
    assert "Error: " in result.stderr
    assert part in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_folder_without_template_is_named(tmp_path):
    result = up(tmp_path, tmp_path)
    assert result.returncode == 1
    assert "There is no template in" in result.stderr


def test_up_shows_events_deploys_again_on_a_change_and_ends_cleanly(tmp_path, shop):
    with Session(shop, "--port", "0", "--data", tmp_path / "data") as session:
        url = session.wait_for("serves on").split(" serves on ")[1].split()[0]
        session.wait_for("Following events")
        put = run("events", "put", '{"n": 1}', "--source", "shop", "--endpoint", url)
        assert put.returncode == 0, put.stderr
        assert put.stdout.strip() in session.wait_for("shop")

        (shop / "template.yaml").write_text(TEMPLATE.replace("Default: a", "Default: c"))
        assert "orders-c" in session.wait_for("Url ")

        (shop / "template.yaml").write_text(TEMPLATE.replace("AWS::SQS::Queue", "AWS::SQS::Nothing"))
        assert "AWS::SQS::Nothing" in session.wait_for("Error: ")

        # Not `a` again: a queue's name is free 60 seconds after it was deleted only, as on AWS.
        (shop / "template.yaml").write_text(TEMPLATE.replace("Default: a", "Default: d"))
        assert "orders-d" in session.wait_for("Url ")
        assert session.interrupt() == 0
        assert "Traceback" not in "".join(session.seen)


def test_deploy_goes_to_a_running_node_and_writes_json(node, shop):
    result = run("deploy", str(shop), "--json", "--endpoint", node.url)
    assert result.returncode == 0, result.stderr
    deployed = json.loads(result.stdout)
    assert (deployed["stack"], deployed["changed"]) == ("shop", True)
    assert deployed["outputs"]["Url"] == f"{node.url}/000000000000/orders-a"
    again = run("deploy", str(shop), "--json", "--endpoint", node.url)
    assert json.loads(again.stdout)["changed"] is False


def test_deploy_without_a_node_says_what_to_do(shop):
    result = run("deploy", str(shop), "--endpoint", "http://127.0.0.1:9")
    assert result.returncode == 1
    assert "Start one with `forebay serve`" in result.stderr


def test_wrong_parameter_is_a_wrong_call(shop):
    result = run("deploy", str(shop), "--parameter", "Suffix", "--endpoint", "http://127.0.0.1:9")
    assert "No node answers" in result.stderr or "is not NAME=VALUE" in result.stderr
    assert result.returncode in {1, 2}


def test_a_reset_under_a_session_is_survived(tmp_path, shop):
    with Session(shop, "--port", "0", "--data", tmp_path / "data") as session:
        url = session.wait_for("serves on").split(" serves on ")[1].split()[0]
        session.wait_for("Following events")
        urllib.request.urlopen(urllib.request.Request(f"{url}/_forebay/reset", method="POST", data=b""), timeout=10)
        (shop / "template.yaml").write_text(TEMPLATE + "# saved again\n")
        session.wait_for("Stack shop deployed.")
        put = run("events", "put", '{"n": 1}', "--source", "shop", "--endpoint", url)
        assert put.stdout.strip() in session.wait_for("shop")
        assert session.interrupt() == 0
