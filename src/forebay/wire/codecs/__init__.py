"""Codecs: one for each protocol of AWS, all behind `contract.Codec`, none doing I/O.

`json` AWS JSON 1.0/1.1, `query` forms in and XML out, `rest_json` and `rest_xml` with members in path, query and
headers (`rest`), `cbor` smithy-rpc-v2-cbor. `xml` is what the two XML protocols share, `errors` what all do.
"""

from functools import cache
from importlib import import_module

from forebay.core.shapes import ServiceModel
from forebay.wire.codecs.contract import Codec

_CODECS = {
    "json": ("json", "JsonCodec"),
    "query": ("query", "QueryCodec"),
    "query-json": ("query", "QueryJsonCodec"),
    "rest-json": ("rest_json", "RestJsonCodec"),
    "rest-xml": ("rest_xml", "RestXmlCodec"),
    "smithy-rpc-v2-cbor": ("cbor", "CborCodec"),
}


@cache
def codec_for(model: ServiceModel | None, protocol: str) -> Codec:
    """Give the codec of a service in a protocol (botocore's word for it), always the same one.

    Without a model it can only encode errors.
    """
    # A node that serves only SQS need not pay for XML and CBOR.
    module, name = _CODECS[protocol]
    return getattr(import_module(f"forebay.wire.codecs.{module}"), name)(model)
