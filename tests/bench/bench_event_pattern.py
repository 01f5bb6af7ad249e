"""Microseconds of CPU for matching one event against 1 to 10,000 rules: `python tests/bench/bench_event_pattern.py`.

Two populations: rules that share their source and differ in one field (the usual bus), and rules that differ only in a
prefix. A rule set that looked at every rule would take 10,000 times as long for the last line as for the first.
"""

import json
import time

from forebay.languages.event_pattern import RuleSet, parse_pattern

COUNTS = (1, 10, 1_000, 10_000)
EVENTS = 1_000
ROUNDS = 7


def event_of(number):
    """Make an event of realistic size, told from others by a type and a key."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "Claim Filed",
        "source": "insurance.claims",
        "account": "111122223333",
        "time": "2026-10-22T18:43:48Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:sqs:eu-central-1:111122223333:claims"],
        "detail": {
            "type": f"kind-{number}",
            "key": f"folder-{number}/file.json",
            "amount": 1_200.5,
            "customer": {"id": "c-1", "name": "Ada", "tags": ["gold", "north"]},
            "items": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}],
        },
    }


def exact(number):
    """Make a rule that names its source and one type."""
    detail = {"type": [f"kind-{number}"], "amount": [{"numeric": [">", 1_000]}]}
    return {"source": ["insurance.claims"], "detail": detail}


def prefix(number):
    """Make a rule that names its source and a key's beginning."""
    return {"source": ["insurance.claims"], "detail": {"key": [{"prefix": f"folder-{number}/"}]}}


def microseconds(rule_of, count):
    """Return the microseconds for adding one rule and for one match among `count` rules."""
    rules = RuleSet()
    patterns = [parse_pattern(json.dumps(rule_of(number))) for number in range(count)]
    start = time.thread_time()
    for number, pattern in enumerate(patterns):
        rules.add(number, pattern)
    adding = (time.thread_time() - start) / count
    events = [event_of(number % count) for number in range(0, EVENTS * 7, 7)]
    matching = min(_seconds(rules, events) for _ in range(ROUNDS)) / EVENTS
    return adding * 1e6, matching * 1e6


def _seconds(rules, events):
    start = time.thread_time()
    matched = sum(len(rules.match(event)) for event in events)
    assert matched == len(events)
    return time.thread_time() - start


def main():
    """Print a line for each population and number of rules."""
    for rule_of in (exact, prefix):
        for count in COUNTS:
            adding, matching = microseconds(rule_of, count)
            line = f"{rule_of.__name__:<8}{count:>7} rules {matching:>8.1f} us a match {adding:>8.1f} us an add"
            print(line)  # noqa: T201 - a bench is run for what it prints


if __name__ == "__main__":
    main()
