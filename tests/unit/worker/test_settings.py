"""Settings of workers, and what a report reads like."""

import pytest

from forebay.worker import Message, Report, Settings, Worker
from forebay.worker.settings import back_off


@pytest.mark.parametrize(
    "given",
    [
        {"concurrency": 0},
        {"batch_size": 11},
        {"lease_seconds": 2},
        {"wait_seconds": 21},
        {"grace_seconds": -1},
        {"per_second": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(given))):
        Settings(**given)  # type: ignore[arg-type]


def test_there_is_one_handler():
    with pytest.raises(ValueError, match="either"):
        Worker("orders")
    with pytest.raises(ValueError, match="either"):
        Worker("orders", print, handle_batch=lambda _: None)


@pytest.mark.parametrize(("count", "seconds"), [("1", 2), ("3", 8), ("9", 300), ("5000", 300)])
def test_rest_after_a_failure_grows(count: str, seconds: int):
    assert back_off(Message("m", "r", "b", system={"ApproximateReceiveCount": count})) == seconds


def test_report_names_what_happened():
    assert str(Report(received=3, completed=2, failed=1)) == "3 received, 2 completed, 1 failed, 0 cut off"
