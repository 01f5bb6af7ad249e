"""Every operation of every generated service, both ways: what botocore sends we read, what we answer botocore reads."""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forebay.core.shapes import shape_from_wire
from tests.property.codecs.oracle import (
    AMBIGUOUS,
    PAIRS,
    differences,
    labels_for,
    parsed_by_botocore,
    request_for,
    side,
)
from tests.property.codecs.values import Unfit, Values

# One example is one input or output of every operation of the service.
EXAMPLES = int(os.environ.get("FOREBAY_CODEC_EXAMPLES", "3"))
rounds = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    # What an example is worth is in its message; shrinking a seed says nothing more.
    phases=[Phase.explicit, Phase.generate],
)
seeds = st.integers(0, 2**31)


def has_stream(shape) -> bool:
    return shape is not None and any(member.serialization.get("eventstream") for member in shape.members.values())


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
@rounds
@given(seed=seeds)
def test_reads_what_botocore_sends(service: str, protocol: str, seed: int) -> None:
    side_ = side(service, protocol)
    unfit = []
    for name in side_.theirs.operation_names:
        operation = side_.theirs.operation_model(name)
        if has_stream(operation.input_shape) or name in AMBIGUOUS:
            continue
        try:
            params = Values(seed, full=not side_.protocol.endswith(("json", "cbor"))).for_input(operation)
        except Unfit as error:
            unfit.append(str(error))
            continue
        request = request_for(side_, operation, params)
        shape = side_.codec.decode(side_.ours.operations[name], request, labels_for(side_, name, request))
        if operation.input_shape is not None:
            found = differences(operation.input_shape, params, shape)
            assert not found, f"{name}: {found}\n{request}"
    assert len(unfit) < len(side_.theirs.operation_names) / 10 + 1, unfit


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
@rounds
@given(seed=seeds)
def test_botocore_reads_what_is_answered(service: str, protocol: str, seed: int) -> None:
    side_ = side(service, protocol)
    for name in side_.theirs.operation_names:
        operation = side_.theirs.operation_model(name)
        ours = side_.ours.operations[name]
        # GetBucketLocation's parser is a hook of botocore's clients; tests/unit has its case.
        if has_stream(operation.output_shape) or name in {*AMBIGUOUS, "GetBucketLocation"}:
            continue
        try:
            params = Values(seed, alphabet="ab é雪😀&<>'\"\r\n\t", full=protocol == "rest-xml").for_output(operation)
        except Unfit:
            continue
        output = shape_from_wire(ours.output, params) if operation.output_shape else None
        response = side_.codec.encode(ours, output, "request-1")
        parsed = parsed_by_botocore(side_, operation, response)
        metadata = parsed.pop("ResponseMetadata")
        # botocore does not look for it where there is no output in CBOR.
        assert metadata.get("RequestId", "request-1") == "request-1"
        assert "RequestId" in metadata or operation.output_shape is None
        assert metadata["HTTPStatusCode"] == response.status
        if operation.output_shape is not None:
            found = differences(operation.output_shape, params, parsed)
            assert not found, f"{name}: {found}\n{response}"


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_botocore_reads_every_error(service: str, protocol: str) -> None:
    side_ = side(service, protocol)
    operation = side_.theirs.operation_model(next(iter(side_.theirs.operation_names)))
    ours = next(each for each in side_.ours.operations.values() if each.method != "HEAD")
    raised = {error for each in side_.ours.operations.values() for error in each.errors}
    for kind in sorted(raised, key=lambda kind: kind.__name__):
        error = kind('It is <so> & "thus".')
        response = side_.codec.encode_error(ours, error, "request-1")
        parsed = parsed_by_botocore(side_, operation, response)
        code = kind.query_code or kind.code
        assert parsed["Error"]["Code"] == code
        assert parsed["Error"]["Message"] == error.message
        assert parsed["ResponseMetadata"]["RequestId"] == "request-1"
        assert response.status == (kind.query_status or kind.status if protocol == "query" else kind.status)
        assert 400 <= response.status < 600
