"""One way from any source to any target: rule to queue, topic to subscription, schedule to function, dead letters.

Reading order: `contract.py` (Delivery, Target, Sender, Source), `outbox.py` (accepting and dispatching), `retry.py`,
`trace.py` (what became of an event), `poller.py` and `pace.py` (Source -> filter -> Target -> settle).
"""
