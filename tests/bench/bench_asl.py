"""What the interpreter of the States Language costs by itself: transitions in both languages, answers, definitions.

Run: `python -m tests.bench.bench_asl`. Prints microseconds each, in one process, without a node and a store.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import json
import time
from collections.abc import Callable
from typing import Any

from forebay.core.ids import Ids
from forebay.languages.asl import (
    Environment,
    ExecutionContext,
    Machine,
    TaskSucceeded,
    advance,
    decode_state,
    encode_state,
    parse,
    start,
)

STATES = 50
ROUNDS = 40
REPEATS = 5
# A Pass transition.
BUDGET_MICROSECONDS = 50.0
ENVIRONMENT = Environment(0.0, ExecutionContext("id", "name", "{}", "role", "start", "machine", "name"), Ids(1))
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


def _chain(state: dict[str, Any], **top: Any) -> str:
    """Return a definition of the same state many times in a row."""
    names = [f"S{at}" for at in range(STATES)]
    states = {name: {**state, "Next": names[at + 1]} for at, name in enumerate(names[:-1])}
    return json.dumps({"StartAt": "S0", **top, "States": {**states, names[-1]: {**state, "End": True}}})


def _machine(definition: str) -> Machine:
    machine = parse(definition).machine
    assert machine is not None
    return machine


def _measure(name: str, work: Callable[[], object], *, each: int) -> float:
    """Print and return the best of some runs: the machine may be busy with other things."""
    best = float("inf")
    for _ in range(REPEATS):
        begun = time.perf_counter()
        for _ in range(ROUNDS):
            work()
        best = min(best, time.perf_counter() - begun)
    microseconds = best / ROUNDS / each * 1e6
    print(f"{name:40} {microseconds:8.1f} us")
    return microseconds


def main() -> None:
    """Measure, and fail if a Pass transition costs more than its budget."""
    plain = _machine(_chain({"Type": "Pass"}))
    paths = _machine(_chain({"Type": "Pass", "Parameters": {"a.$": "$.a", "n.$": "$$.State.Name"}}))
    query = _chain({"Type": "Pass", "Output": {"a": "{% $states.input.a + 1 %}"}}, QueryLanguage="JSONata")
    jsonata = _machine(query)
    transition = _measure("Pass", lambda: start(plain, '{"a":1}', ENVIRONMENT), each=STATES)
    _measure("Pass with two paths", lambda: start(paths, '{"a":1}', ENVIRONMENT), each=STATES)
    _measure("Pass with a JSONata expression", lambda: start(jsonata, '{"a":1}', ENVIRONMENT), each=STATES)
    tasks = _machine(_chain({"Type": "Task", "Resource": LAMBDA}))
    step = start(tasks, '{"a":1}', ENVIRONMENT)
    stored, answer = encode_state(step.state), TaskSucceeded(step.effects[0].key, '{"a":2}')
    _measure(
        "task answered, state read and written",
        lambda: encode_state(advance(tasks, decode_state(stored), answer, ENVIRONMENT).state),
        each=1,
    )
    _measure("definition, a state of it", lambda: parse(query), each=STATES)
    if transition > BUDGET_MICROSECONDS:
        raise SystemExit(f"a Pass transition costs {transition:.1f} us, more than {BUDGET_MICROSECONDS}")


if __name__ == "__main__":
    main()
