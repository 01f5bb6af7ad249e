"""`forebay backup` and `forebay restore`: a copy of a running node's data, and the way back."""

import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tests.harness import RunningNode


def bodies(node):
    queue = node.client("sqs")
    url = queue.get_queue_url(QueueName="q")["QueueUrl"]
    found = []
    while messages := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600).get(
        "Messages"
    ):
        found += [int(message["Body"]) for message in messages]
    return sorted(found)


def put_object(node, text):
    s3 = node.client("s3")
    s3.create_bucket(Bucket="things")
    s3.put_object(Bucket="things", Key="one", Body=text)


@pytest.mark.parametrize("name", ["copy", "copy.tar", "copy.tar.gz"])
def test_a_backup_under_load_holds_everything_acknowledged_before_it(forebay, node, tmp_path, name):
    put_object(node, b"blob" * 1000)
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sent = []
    stop = threading.Event()

    def send():
        while not stop.is_set():
            sqs.send_message(QueueUrl=url, MessageBody=str(len(sent)))
            sent.append(len(sent))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        while len(sent) < 50:
            stop.wait(0.01)
        before = len(sent)
        forebay("backup", tmp_path / name, "--data", tmp_path / "data")
        after = len(sent) + 1
    finally:
        stop.set()
        sender.join()
    forebay("restore", tmp_path / name, "--data", tmp_path / "restored")
    restored = RunningNode(tmp_path / "restored").start()
    try:
        found = bodies(restored)
        # A prefix of what was sent: nothing is missing in between, nothing is there twice.
        assert found == list(range(len(found)))
        assert before <= len(found) <= after
        assert restored.client("s3").get_object(Bucket="things", Key="one")["Body"].read() == b"blob" * 1000
    finally:
        restored.stop()


def test_handles_from_after_the_backup_name_nothing_in_the_restored_store(forebay, node, tmp_path):
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    forebay("backup", tmp_path / "copy", "--data", tmp_path / "data")
    sqs.send_message(QueueUrl=url, MessageBody="after")
    handle = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    forebay("restore", tmp_path / "copy", "--data", tmp_path / "restored")
    restored = RunningNode(tmp_path / "restored").start()
    try:
        sqs = restored.client("sqs")
        sqs.send_message(QueueUrl="q", MessageBody="1")
        sqs.delete_message(QueueUrl="q", ReceiptHandle=handle)
        assert bodies(restored) == [1]
    finally:
        restored.stop()


def test_a_backup_is_written_over_nothing(forebay, node, tmp_path):
    node.client("sqs").create_queue(QueueName="q")
    (tmp_path / "copy").mkdir()
    for name in ("copy", "copy.tar"):
        (tmp_path / "copy.tar").touch()
        result = forebay("backup", tmp_path / name, "--data", tmp_path / "data", code=1)
        assert "is there already" in str(result.exception)
    assert "There is no store" in str(forebay("backup", tmp_path / "x", "--data", tmp_path / "none", code=1).exception)


def test_restore_refuses_a_running_node_and_a_store_that_is_there(forebay, node, tmp_path):
    node.client("sqs").create_queue(QueueName="q")
    forebay("backup", tmp_path / "copy", "--data", tmp_path / "data")
    running = forebay("restore", tmp_path / "copy", "--replace", "--data", tmp_path / "data", code=1)
    assert "is in use" in str(running.exception)
    forebay("restore", tmp_path / "copy", "--data", tmp_path / "restored")
    taken = forebay("restore", tmp_path / "copy", "--data", tmp_path / "restored", code=1)
    assert "holds a store already" in str(taken.exception)
    forebay("restore", tmp_path / "copy", "--replace", "--data", tmp_path / "restored")


@pytest.mark.parametrize("damaged", ["store.db", "backup.json"])
def test_restore_refuses_what_is_damaged(forebay, node, tmp_path, damaged):
    put_object(node, b"blob")
    forebay("backup", tmp_path / "copy", "--data", tmp_path / "data")
    path = tmp_path / "copy" / damaged
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    forebay("restore", tmp_path / "copy", "--data", tmp_path / "restored", code=1)
    assert not (tmp_path / "restored" / "store.db").exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "backup/../../outside"])
def test_restore_refuses_an_archive_that_leads_out_of_its_folder(forebay, tmp_path, name):
    with tarfile.open(tmp_path / "copy.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    refused = forebay("restore", tmp_path / "copy.tar", "--data", tmp_path / "new" / "data", code=1)
    assert "is nothing that a backup holds" in str(refused.exception)
    assert not list(tmp_path.rglob("outside"))


def test_restore_refuses_a_backup_without_one_of_its_blobs(forebay, node, tmp_path):
    put_object(node, b"blob" * 100_000)
    forebay("backup", tmp_path / "copy", "--data", tmp_path / "data")
    blob = next((tmp_path / "copy" / "blobs").glob("*/*"))
    blob.unlink()
    assert "damaged" in str(forebay("restore", tmp_path / "copy", "--data", tmp_path / "new", code=1).exception)


def test_a_postgresql_store_is_postgresqls_to_back_up(forebay, node, tmp_path):
    result = forebay("backup", tmp_path / "copy", "--store", "postgresql://localhost/x", code=1)
    assert "pg_dump" in str(result.exception)


# Copies for as long as it is let: each step waits for a line, so that the test can kill it in between.
_STEPWISE = """
import sys
from pathlib import Path
from forebay.store.sqlite import backup

def step(done, total):
    print(done, flush=True)
    sys.stdin.readline()

if sys.argv[1] == "backup":
    backup.back_up(Path(sys.argv[2]), Path(sys.argv[3]), 0.0, step)
else:
    backup.restore(Path(sys.argv[2]), Path(sys.argv[3]), is_replacing=True, progress=step)
"""


def kill_in_the_middle(*arguments):
    command = [sys.executable, "-c", _STEPWISE, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        os.kill(process.pid, signal.SIGKILL)


def large_store(node):
    sqs = node.client("sqs")
    sqs.create_queue(QueueName="q")
    for _ in range(4):
        sqs.send_message(QueueUrl="q", MessageBody="1" * 1_000_000)


def test_a_killed_backup_leaves_none(forebay, node, tmp_path):
    large_store(node)
    kill_in_the_middle("backup", tmp_path / "data", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    forebay("backup", tmp_path / "copy", "--data", tmp_path / "data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "data"]


def test_a_killed_restore_must_be_done_again(forebay, node, tmp_path):
    large_store(node)
    forebay("backup", tmp_path / "copy", "--data", tmp_path / "data")
    forebay("restore", tmp_path / "copy", "--data", tmp_path / "new")
    kill_in_the_middle("restore", tmp_path / "copy", tmp_path / "new")
    with pytest.raises(Exception, match="interrupted"):
        RunningNode(tmp_path / "new").start()
    interrupted = forebay("backup", tmp_path / "other", "--data", tmp_path / "new", code=1)
    assert "interrupted restore" in str(interrupted.exception)
    forebay("restore", tmp_path / "copy", "--data", tmp_path / "new")
    restored = RunningNode(tmp_path / "new").start()
    restored.stop()
    check(tmp_path / "new")


def check(data: Path) -> None:
    connection = sqlite3.connect(data / "store.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
