"""The AWS CLI's own `s3` commands, as people type them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import RunningNode


def aws(node: RunningNode, *arguments: str, home: Path) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_ENDPOINT_URL": node.url,
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [str(Path(sys.executable).with_name("aws")), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_s3_commands(node: RunningNode, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_text("alpha")
    (tree / "sub" / "b.txt").write_text("beta")
    (tree / "big.bin").write_bytes(b"x" * 9 * 1024 * 1024)

    assert "make_bucket: box" in aws(node, "s3", "mb", "s3://box", home=tmp_path)
    aws(node, "s3", "sync", str(tree), "s3://box/tree", home=tmp_path)
    listed = aws(node, "s3", "ls", "s3://box/tree/", home=tmp_path)
    assert "PRE sub/" in listed
    assert "a.txt" in listed
    assert aws(node, "s3", "sync", str(tree), "s3://box/tree", home=tmp_path) == ""
    aws(node, "s3", "cp", "s3://box/tree/big.bin", str(tmp_path / "back.bin"), home=tmp_path)
    assert (tmp_path / "back.bin").read_bytes() == (tree / "big.bin").read_bytes()
    aws(node, "s3", "mv", "s3://box/tree/a.txt", "s3://box/moved.txt", home=tmp_path)
    assert aws(node, "s3", "cp", "s3://box/moved.txt", "-", home=tmp_path) == "alpha"
    aws(node, "s3", "rm", "s3://box", "--recursive", home=tmp_path)
    assert "remove_bucket: box" in aws(node, "s3", "rb", "s3://box", home=tmp_path)
