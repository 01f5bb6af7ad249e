"""Buckets as on-failure destinations of mappings: what was discarded is put there with its records."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from forebay.api import s3 as s3_api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.delivery.stream import Discarded
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.lambda_.mapping import Mapping

log = structlog.get_logger()


async def put_failure(platform: Platform, mapping: Mapping, discarded: Discarded, record: dict[str, Any]) -> None:
    """Put the record that queues are told and the event itself into the mapping's bucket.

    A bucket that refuses it is told in the log: the records are discarded all the same, as on AWS.
    Source: "Retain discarded records", which also has the object's name.
    """
    assert mapping.stream is not None, "only streams' mappings have destinations"
    bucket = Arn.parse(mapping.stream.on_failure).resource
    event = msgspec.json.encode({"Records": [one.record.data for one in discarded.records]}).decode()
    body = msgspec.json.encode({**record, "payload": event})
    moment = datetime.fromtimestamp(platform.clock.now(), UTC)
    name = f"{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{platform.ids.uuid()}"
    key = f"aws/lambda/{mapping.uuid}/{discarded.records[0].shard}/{name}"
    caller = new_caller(mapping.region, mapping.account, platform.ids, platform.endpoint(), "lambda")
    request = s3_api.PutObjectRequest(bucket=bucket, key=key, body=body, content_type="application/json")
    try:
        await platform.table.run(caller, "s3", "PutObject", request)
    except ServiceError as error:
        log.warning("lambda.destination_failed", mapping=mapping.uuid, bucket=bucket, code=error.code)
