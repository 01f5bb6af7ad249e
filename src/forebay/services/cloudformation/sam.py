"""The transform `AWS::Serverless-2016-10-31`: a SAM template in, a CloudFormation template out, by AWS's translator."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import structlog

from forebay.core.arn import partition_of
from forebay.services.cloudformation.template.errors import invalid

log = structlog.get_logger()

SERVERLESS = "AWS::Serverless-2016-10-31"

_CHILD = Path(__file__).with_name("sam_child.py")
_TIMEOUT_SECONDS = 60.0
_FAILED = f"Transform {SERVERLESS} failed with: "


async def translate(template: Mapping[str, Any], parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return the CloudFormation template that a SAM template stands for.

    Raises:
        ServiceError: it is not valid; the text is the translator's.
    """
    _check_applications(template)
    partition = partition_of(region)
    values = {**parameters, "AWS::Region": region, "AWS::Partition": partition}
    request = {"template": template, "parameters": values, "partition": partition}
    answer = await _run_child(json.dumps(request).encode(), region)
    if "error" in answer:
        raise invalid(_FAILED + answer["error"])
    translated = cast("dict[str, Any]", answer["template"])
    translated.pop("Transform", None)
    return translated


def _check_applications(template: Mapping[str, Any]) -> None:
    """Refuse applications of the Serverless Application Repository, which only AWS has."""
    resources = template.get("Resources")
    if not isinstance(resources, dict):
        # The translator says what is wrong with it.
        return
    for name, resource in cast("dict[str, Any]", resources).items():
        declared = cast("dict[str, Any]", resource) if isinstance(resource, dict) else {}
        if declared.get("Type") == "AWS::Serverless::Application":
            properties = declared.get("Properties")
            location = cast("dict[str, Any]", properties).get("Location") if isinstance(properties, dict) else None
            if isinstance(location, dict) and "ApplicationId" in location:
                text = f"Resource with id [{name}] is an application of AWS's Serverless Application Repository, "
                raise invalid(f"{_FAILED}{text}which Forebay cannot reach.")


async def _run_child(request: bytes, region: str) -> dict[str, Any]:
    # The translator asks boto3 for a region, and must ask nothing else of the machine or the network.
    environment = {
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "PATH": "",
        "PYTHONUTF8": "1",
    }
    # -P keeps this folder, whose modules have everyday names, out of the child's import path.
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        str(_CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            output, errors = await child.communicate(request)
    except TimeoutError:
        raise invalid(f"{_FAILED}The translator did not answer in {_TIMEOUT_SECONDS:.0f} seconds.") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        # What is not the template's fault is the translator's: its last line says what it stumbled over.
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        log.warning("sam.translator_failed", status=child.returncode, error=last)
        raise invalid(f"{_FAILED}The translator could not read the template: {last}")
    return json.loads(output)
