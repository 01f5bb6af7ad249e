"""Drain an SQS queue without losing work when the process is told to go: for pods that come and go with the load.

    from forebay.worker import Worker

    def handle(message):
        ...

    Worker("orders", handle, concurrency=4).run()

Works against AWS and against Forebay, in any container: it needs boto3 and nothing else of this package. A worker
takes only what it can begin at once, renews the lease of what it works on, gives back what it has not begun when it is
told to stop (SIGTERM, SIGINT), finishes what it has, and tells Kubernetes which pods are busy, so that scaling in takes
idle ones. What it had to leave unfinished it counts and reports; with a sane grace period that is nothing.

Reading order: `message`, `settings`, `batch_calls`, `leases`, `deletions`, `desk`, `deletion_cost`, `worker`. Of the
rest of Forebay this package imports nothing but the clock.
"""

from forebay.worker.message import Message
from forebay.worker.settings import Report, Settings
from forebay.worker.worker import Worker

__all__ = ["Message", "Report", "Settings", "Worker"]
