"""A node that is killed under load has lost nothing that it acknowledged."""

import os

import pytest

from tests.fault.kill import run_rounds


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_by_kill(tmp_path):
    rounds = int(os.environ.get("FOREBAY_KILL_ROUNDS", "3"))
    notes = run_rounds(tmp_path / "data", rounds, seed=rounds, report=print)
    assert notes.sent
    assert notes.put
    assert notes.created
