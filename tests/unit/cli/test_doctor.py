"""`forebay doctor`: what is found, how it is shown, and when it is a failure."""

import json

import pytest

from forebay.cli import machine
from forebay.cli.doctor import report_lines
from forebay.config import Config
from forebay.runtimes.interpreters import Interpreters
from tests.unit.cli.processes import serving_html


def by_name(findings):
    return {finding["name"]: finding for finding in findings}


def test_report_of_a_machine_that_works(node, as_json, tmp_path):
    report = as_json("doctor", "--data", tmp_path / "new")
    found = by_name(report["findings"])
    assert report["ok"]
    assert found["sqlite"]["status"] == "ok"
    assert 0 < found["fsync"]["value"]["median_seconds"] <= found["fsync"]["value"]["max_seconds"]
    assert "will be created" in found["data"]["text"]
    assert not (tmp_path / "new").exists()
    assert list(tmp_path.glob(".forebay-doctor-*")) == []
    assert "sqs" in found["services"]["value"]
    assert found["endpoint"]["value"] == node.url


def test_report_names_the_interpreter_of_each_runtime(as_json):
    import sys

    python = by_name(as_json("doctor")["findings"])["Python"]["value"]
    assert f"python3.{sys.version_info.minor}" in python["exact"]
    assert not set(python["exact"]) & set(python["nearest"])


def test_text_has_marks_and_a_verdict(forebay):
    text = forebay("doctor").stdout
    assert "✓ forebay" in text
    assert text.endswith("A node works here.\n")


def test_folder_that_cannot_be_written_is_a_failure(forebay):
    result = forebay("doctor", "--data", "/proc/nothing", code=1)
    assert "✗ data" in result.stdout
    assert "A node does not work like this; see data." in result.stdout


def test_no_node_is_no_failure(forebay):
    text = forebay("doctor", "--endpoint", "http://127.0.0.1:9").stdout
    assert "! endpoint" in text
    assert "forebay serve" in text


def test_something_else_on_the_port_is_a_failure(forebay):
    with serving_html() as url:
        result = forebay("doctor", "--endpoint", url, "--json", code=1)
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert by_name(report["findings"])["endpoint"]["status"] == "problem"


def test_wrong_setting_in_the_environment_is_named(forebay):
    result = forebay("doctor", code=1, env={"FOREBAY_PORT": "many"})
    assert "port" in str(result.exception)


@pytest.mark.parametrize(("match", "word"), [("nearest", "on the nearest"), ("exact", "refused")])
def test_missing_version_runs_on_the_nearest_or_is_refused(monkeypatch, tmp_path, match, word):
    bare = Interpreters(home=tmp_path, search_path="")
    monkeypatch.setattr(machine, "Interpreters", lambda: bare)
    found = {finding.name: finding for finding in machine.look_at_runtimes(Config(runtime_match=match))}
    assert word in found["Python"].text
    assert found["Node.js"].status == "note"
    assert "cannot run" in found["Node.js"].text


def test_missing_package_and_old_sqlite_are_problems(monkeypatch):
    monkeypatch.setattr(machine.sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(
        machine.importlib.metadata, "version", _raising(machine.importlib.metadata.PackageNotFoundError("x"))
    )
    found = {finding.name: finding for finding in machine.look_at_versions()}
    assert found["sqlite"].status == "problem"
    assert found["boto3"].status == "problem"
    assert "see sqlite" in list(report_lines(list(found.values())))[-1]


def test_few_open_files_are_a_problem(monkeypatch):
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (256, 256))
    found = {finding.name: finding for finding in machine.look_at_limits(Config())}
    assert found["open files"].status == "problem"
    assert "ulimit" in found["open files"].advice


def _raising(error):
    def call(*_):
        raise error

    return call
