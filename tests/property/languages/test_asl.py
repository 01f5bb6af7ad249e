"""Generated definitions run the same whether or not the state is stored, and read back, between any two events."""

from itertools import count

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.languages.asl.executions import Execution, TaskError

ERRORS = ("Boom", "Bang")
VALUES = st.one_of(
    st.integers(-3, 3), st.text("ab", max_size=2), st.booleans(), st.none(), st.lists(st.integers(0, 3), max_size=3)
)


@st.composite
def chains(draw, depth=2, names=None):
    """Draw a chain of states: {"StartAt", "States"}."""
    names = names if names is not None else count()
    length = draw(st.integers(1, 4))
    own = [f"S{next(names)}" for _ in range(length)]
    states = {}
    for at, name in enumerate(own):
        following = own[at + 1] if at + 1 < length else None
        states[name] = draw(state(depth, names, following))
    return {"StartAt": own[0], "States": states}


@st.composite
def state(draw, depth, names, following):  # noqa: PLR0911  # a table of the state types
    kinds = ["pass", "wait", "task", "assign", "choice"] + (["parallel", "map"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    ends = {"Next": following} if following else {"End": True}
    match kind:
        case "pass":
            return {
                "Type": "Pass",
                "Result": draw(VALUES),
                "ResultPath": draw(st.sampled_from(["$.r", "$.q", None])),
                **ends,
            }
        case "wait":
            return {"Type": "Wait", "Seconds": draw(st.integers(0, 3)), **ends}
        case "assign":
            return {"Type": "Pass", "Assign": {"v": draw(VALUES), "t.$": "$.t"}, **ends}
        case "choice":
            if following is None:
                return {"Type": "Succeed"}
            rule = {"Variable": "$.q", "IsPresent": draw(st.booleans()), "Next": following}
            return {"Type": "Choice", "Choices": [rule], "Default": following}
        case "task":
            return draw(task(following, ends))
        case "parallel":
            branches = [draw(chains(depth - 1, names)) for _ in range(draw(st.integers(1, 3)))]
            return {"Type": "Parallel", "Branches": branches, "ResultPath": "$.p", **draw(handlers(following)), **ends}
        case _:
            return {
                "Type": "Map",
                "ItemsPath": "$.items",
                "MaxConcurrency": draw(st.integers(0, 2)),
                "ItemSelector": {"items": [1], "t": 1, "item.$": "$$.Map.Item.Value", "at.$": "$$.Map.Item.Index"},
                "ItemProcessor": draw(chains(depth - 1, names)),
                "ResultPath": "$.m",
                **draw(handlers(following)),
                **ends,
            }


@st.composite
def handlers(draw, following):
    fields = {}
    if draw(st.booleans()):
        fields["Retry"] = [{"ErrorEquals": [draw(st.sampled_from(ERRORS))], "MaxAttempts": 1, "IntervalSeconds": 1}]
    if following and draw(st.booleans()):
        fields["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": following, "ResultPath": "$.e"}]
    return fields


@st.composite
def task(draw, following, ends):
    fields = {
        "Type": "Task",
        "Resource": "arn:aws:lambda:us-east-1:123456789012:function:" + draw(st.sampled_from(["good", "bad", "worse"])),
        "ResultPath": "$.task",
        **draw(handlers(following)),
        **ends,
    }
    if draw(st.booleans()):
        fields["TimeoutSeconds"] = draw(st.integers(1, 5))
    return fields


def work(started):
    if started.resource.endswith("bad"):
        raise TaskError(ERRORS[0], "it went wrong")
    if started.resource.endswith("worse"):
        raise TaskError(ERRORS[1])
    return {"attempt": started.key.attempt}


def outcome(definition, **how):
    execution = Execution(definition, {"items": [1, 2, 3], "t": 0}, worker=work, **how).run()
    return [msgspec.json.encode(event) for event in execution.history], execution.effects[-1], execution.state


@settings(max_examples=60, deadline=None)
@given(chains())
def test_execution_does_not_depend_on_where_its_state_is_kept(definition):
    whole = outcome(definition)
    assert outcome(definition, stores=True) == whole
    assert outcome(definition, stores=True, transitions_max=1) == whole


@settings(max_examples=60, deadline=None)
@given(chains())
def test_history_has_no_gap_and_names_earlier_events(definition):
    execution = Execution(definition, {"items": [1, 2, 3], "t": 0}, worker=work).run()
    ids = [event.id for event in execution.history]
    assert ids == list(range(2, 2 + len(ids)))
    assert all(event.previous_event_id < event.id for event in execution.history)
    assert execution.state.status in {"SUCCEEDED", "FAILED"}
