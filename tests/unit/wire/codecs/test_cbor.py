import cbor2
import pytest

from forebay.api import cloudwatch
from forebay.core.errors import ServiceError
from forebay.wire.codecs import codec_for
from tests.unit.wire.codecs.requests import request

CODEC = codec_for(cloudwatch.MODEL, "smithy-rpc-v2-cbor")
PUT = cloudwatch.MODEL.operations["PutMetricData"]


def test_decode_reads_tagged_times_and_any_width_of_number():
    body = cbor2.dumps(
        {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1, "Timestamp": cbor2.CBORTag(1, 5)}]}
    )
    datum = CODEC.decode(PUT, request(body), {}).metric_data[0]
    assert (datum.value, datum.timestamp) == (1.0, 5.0)


@pytest.mark.parametrize(
    "body",
    [b"\xff", b"\x81" * 1000, b"\xd8\x1c\x81\xd8\x1d\x00", b"\xd8\x23\x63(a)", b"\xa1\x80\x00", cbor2.dumps([1])],
)
def test_decode_refuses(body):
    with pytest.raises(ServiceError) as caught:
        CODEC.decode(PUT, request(body), {})
    assert (caught.value.code, caught.value.status) == ("SerializationException", 400)


def test_encode_tags_times():
    output = cloudwatch.GetMetricStatisticsOutput(datapoints=[cloudwatch.Datapoint(timestamp=1.5)])
    response = CODEC.encode(cloudwatch.MODEL.operations["GetMetricStatistics"], output, "r")
    assert cbor2.dumps(cbor2.CBORTag(1, 1.5)) in response.body
    assert ("smithy-protocol", "rpc-v2-cbor") in response.headers


def test_error_names_its_shape_and_the_query_code():
    response = CODEC.encode_error(PUT, cloudwatch.InvalidParameterValueException("No."), "r")
    assert cbor2.loads(response.body) == {"__type": "InvalidParameterValueException", "message": "No."}
    assert ("x-amzn-query-error", "InvalidParameterValue;Sender") in response.headers
