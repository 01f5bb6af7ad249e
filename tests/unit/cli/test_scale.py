"""`forebay scale explain`, `lint`, `simulate`, `record` and `instance-types`, as people call them."""

import json

import pytest
from click.testing import CliRunner

from forebay.cli.main import cli
from forebay.core.errors import ConfigError
from forebay.scaling.simulation.arrivals import read_arrivals
from tests.harness import wait_until
from tests.unit.scaling.simulation.setting import deployment, node_pool, scaled_object, write


@pytest.fixture
def setting(tmp_path):
    return write(tmp_path / "setting", deployment(), scaled_object(), node_pool())


def _call(*arguments, code=0):
    result = CliRunner().invoke(cli, ["scale", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_explain_tells_what_follows_and_why(setting):
    text = _call("explain", setting, "--arrivals", "burst 20 at 1m", "--for", "10m").stdout
    assert "0 -> 1: by KEDA, within 30 s" in text
    assert "because active at 0 replicas: KEDA itself writes 1" in text
    assert "messages done" in text


def test_explain_assumes_a_burst_and_writes_json(setting):
    found = json.loads(_call("explain", setting, "--json").stdout)
    assert found["summary"]["received"] == 500
    assert found["timeline"][0]["who"] == "KEDA"


def test_simulate_compares_settings(setting, tmp_path):
    other = write(tmp_path / "other", deployment(), scaled_object(pollingInterval=5), node_pool())
    page, load = tmp_path / "page.html", ("--arrivals", "burst 20 at 31s", "--for", "10m")
    text = _call("simulate", setting.parent, other.parent, *load, "--html", page, "--timeline").stdout
    assert text.splitlines()[0].split() == ["setting", "other"]
    assert "Decisions of other" in text
    assert page.read_text().startswith("<!doctype html>")
    found = json.loads(_call("simulate", setting, "--with", setting.parent, *load, "--json").stdout)
    assert [result["name"] for result in found] == ["setting"]


def test_lint_names_mistakes_and_fails_for_errors(setting):
    text = _call("lint", setting, code=1).stdout
    assert "[trigger-credentials]" in text
    assert "instead: " in text
    ignored = [word for rule in ("trigger-credentials",) for word in ("--ignore", rule)]
    assert "[no-limits]" in _call("lint", setting, *ignored).stdout
    _call("lint", setting, *ignored, "--strict", code=1)
    found = json.loads(_call("lint", setting, "--json", code=1).stdout)
    assert {"rule", "gravity", "subject", "text", "advice"} == set(found[0])


def test_lint_lists_its_rules():
    assert "cooldown-without-zero" in _call("lint", "--rules").stdout
    _call("lint", code=2)
    _call("lint", "--ignore", "nothing", ".", code=2)


def test_wrong_manifests_are_told_in_one_line(tmp_path):
    path = write(tmp_path / "wrong", deployment())
    with pytest.raises(ConfigError, match="there is no ScaledObject"):
        _call("explain", path)
    with pytest.raises(ConfigError, match="is no file and no description"):
        _call("simulate", path, "--arrivals", "sometimes")


def test_instance_types_are_printed_as_they_are_read(tmp_path):
    text = _call("instance-types").stdout
    path = tmp_path / "types.json"
    path.write_text(text)
    assert _call("instance-types", "--instance-types", path).stdout == text


def test_record_writes_the_arrivals_of_a_queue(node, forebay, tmp_path):
    client, metrics = node.client("sqs"), node.client("cloudwatch")
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    for _ in range(7):
        client.send_message(QueueUrl=url, MessageBody="x")
    # Metrics are written once their minute is over.
    node.clock.advance(60)
    wait_until(lambda: metrics.list_metrics(MetricName="NumberOfMessagesSent")["Metrics"])
    path = tmp_path / "curve.csv"
    forebay("scale", "record", "orders", "--last", "10m", "-o", path)
    assert read_arrivals(path).total == 7
    forebay("scale", "record", "nothing", "--last", "10m", code=1)
