"""A few rounds of the cluster's harness; `python -m tests.fault.cluster --rounds 20` runs more."""

import random
from pathlib import Path

import pytest

from tests.fault.cluster import Cluster, run_round


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_lose_no_message(tmp_path: Path) -> None:
    random.seed(3)
    cluster = Cluster(tmp_path.resolve())
    cluster.node.start()
    try:
        cluster.deploy()
        run_round(cluster, 0, 100, gentle=True)
        for number in (1, 2):
            run_round(cluster, number, 100, gentle=False)
    finally:
        cluster.node.kill()
