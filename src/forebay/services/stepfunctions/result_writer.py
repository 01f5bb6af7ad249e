"""Writes the results of a map run to the node's S3: files of each status, and a manifest that names them.

Source: developer guide, "ResultWriter (Map)".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from forebay.core.errors import ServiceError
from forebay.core.timestamps import format_iso8601
from forebay.operations.call import Caller
from forebay.operations.table import OperationTable
from forebay.services.stepfunctions.execution import Execution, redrive_refusal
from forebay.services.stepfunctions.map_run import MapRun
from forebay.services.stepfunctions.payload import as_list


class WriteFailed(Exception):
    """The results cannot be written; the text says why."""


async def write_results(
    table: OperationTable, caller: Caller, run: MapRun, children: Mapping[str, Sequence[Execution]], now: float
) -> str:
    """Write the results and return the Map state's output: where the manifest lies.

    Raises:
        WriteFailed: S3 does not take them.
    """
    asked: dict[str, Any] = msgspec.json.decode(run.writer or "{}")
    place: dict[str, Any] = asked.get("Arguments") or asked.get("Parameters") or {}
    config: dict[str, Any] = asked.get("WriterConfig") or {}
    bucket, prefix = str(place.get("Bucket")), str(place.get("Prefix") or "").strip("/")
    folder = "/".join(part for part in (prefix, run.name.run_id) if part)
    is_lines = config.get("OutputType") == "JSONL"
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    try:
        for status, executions in children.items():
            shown = [each for child in executions for each in _shown(child, config, status, now)]
            if not shown:
                continue
            name = f"{status}_0.{'jsonl' if is_lines else 'json'}"
            body = b"\n".join(map(msgspec.json.encode, shown)) if is_lines else msgspec.json.encode(shown)
            await _put(table, caller, bucket, f"{folder}/{name}", body)
            files[status].append({"Key": f"{folder}/{name}", "Size": len(body)})
        manifest = {"DestinationBucket": bucket, "MapRunArn": run.name.arn(), "ResultFiles": files}
        await _put(table, caller, bucket, f"{folder}/manifest.json", msgspec.json.encode(manifest))
    except ServiceError as error:
        raise WriteFailed(f"{error.message} (Service: S3, Status Code: {error.status})") from None
    details = {"Bucket": bucket, "Key": f"{folder}/manifest.json"}
    return msgspec.json.encode({"MapRunArn": run.name.arn(), "ResultWriterDetails": details}).decode()


def _shown(child: Execution, config: Mapping[str, Any], status: str, now: float) -> list[Any]:
    """Return what a file says of a child: all of it, or with a transformation only its output."""
    transformation = config.get("Transformation") or "NONE"
    if transformation != "NONE" and status == "SUCCEEDED":
        output: Any = msgspec.json.decode(child.output or "null")
        return (as_list(output) or [output]) if transformation == "FLATTEN" else [output]
    refusal = redrive_refusal(child, child.events, now, is_deleting=False)
    values: dict[str, object] = {
        "Cause": child.cause,
        "Error": child.error,
        "ExecutionArn": child.name.arn(),
        "Input": child.input,
        "InputDetails": {"Included": True},
        "Name": child.name.name,
        "Output": child.output,
        "OutputDetails": {"Included": True} if child.output is not None else None,
        "RedriveCount": child.redrive_count,
        "RedriveStatus": "REDRIVABLE_BY_MAP_RUN" if refusal is None else "NOT_REDRIVABLE",
        "RedriveStatusReason": refusal,
        "StartDate": format_iso8601(child.started_at),
        "StateMachineArn": child.machine.arn(),
        "Status": child.status,
        "StopDate": None if child.stopped_at is None else format_iso8601(child.stopped_at),
    }
    return [{name: value for name, value in values.items() if value is not None}]


async def _put(table: OperationTable, caller: Caller, bucket: str, key: str, body: bytes) -> None:
    from forebay.api import s3 as s3_api  # noqa: PLC0415 - large; needed once a map run writes

    request = s3_api.PutObjectRequest(bucket=bucket, key=key, body=body, content_type="application/json")
    await table.run(caller, "s3", "PutObject", request)
