"""Writes the resource schemas of the CloudFormation service from AWS's published ones, as cfn-lint ships them.

    pip download cfn-lint; python tools/resource_schemas.py path/to/cfnlint/data/schemas

Kept of each type: the tree of property names with their JSON types, which properties are required, which need a
replacement, which are attributes only, and which identify the resource. Texts, patterns and bounds are left to the
services, which check them anyway.
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path("src/forebay/services/cloudformation/resources/schemas")

# CloudFormation's service name, and the types of it that are kept (None: all).
SERVICES: dict[str, tuple[str, ...] | None] = {
    "ApiGatewayV2": None,
    "CloudFormation": ("CustomResource", "Macro", "Stack", "WaitCondition", "WaitConditionHandle"),
    "DynamoDB": ("GlobalTable", "Table"),
    "Events": None,
    "IAM": None,
    "Lambda": (
        "Alias",
        "CodeSigningConfig",
        "EventInvokeConfig",
        "EventSourceMapping",
        "Function",
        "LayerVersion",
        "LayerVersionPermission",
        "Permission",
        "Url",
        "Version",
    ),
    "Logs": ("LogGroup", "LogStream", "MetricFilter", "QueryDefinition", "ResourcePolicy", "SubscriptionFilter"),
    "Pipes": None,
    "S3": ("Bucket", "BucketPolicy"),
    "SNS": None,
    "SQS": None,
    "SSM": ("Parameter",),
    "Scheduler": None,
    "SecretsManager": None,
    "StepFunctions": None,
}


def main(folder: Path) -> None:
    """Write one file a service, and the list of all types that AWS knows."""
    files: dict[str, str] = json.loads((folder / "providers" / "us-east-1.json").read_text())
    for service, kept in SERVICES.items():
        types = {
            name: compact(json.loads((folder / "resources" / f"{file}.json").read_text()))
            for name, file in sorted(files.items())
            if name.split("::")[1] == service and (kept is None or name.split("::")[2] in kept)
        }
        text = json.dumps(types, indent=1, sort_keys=True)
        (TARGET / f"{service.lower()}.json").write_text(text + "\n")
    known = sorted(name for name in files if name.startswith(("AWS::", "Alexa::")))
    (TARGET / "types.txt").write_text("\n".join(known) + "\n")


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what the service needs to know of one type."""
    definitions = schema.get("definitions", {})
    used: dict[str, Any] = {}
    properties = {name: node(value, definitions, used) for name, value in schema["properties"].items()}
    return {
        "properties": properties,
        "definitions": used,
        "required": sorted(schema.get("required", [])),
        "create_only": [pointer(path) for path in schema.get("createOnlyProperties", [])],
        "read_only": [pointer(path) for path in schema.get("readOnlyProperties", [])],
        "identifier": [pointer(path) for path in schema.get("primaryIdentifier", [])],
    }


def pointer(path: str) -> str:
    """Return `/properties/A/B` as `A.B`."""
    return path.removeprefix("/properties/").replace("/", ".")


def node(schema: dict[str, Any], definitions: dict[str, Any], used: dict[str, Any]) -> Any:
    """Return the short form: a type's name, `[item]`, `{member: ...}`, `{"*": value}` or `#Definition`."""
    if "$ref" in schema:
        return reference(schema["$ref"], definitions, used)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = "json" if "object" in kind or "array" in kind else kind[0]
    if kind == "array":
        return [node(schema.get("items", {}), definitions, used)]
    if "properties" in schema:
        return {name: node(value, definitions, used) for name, value in schema["properties"].items()}
    patterns = schema.get("patternProperties")
    if kind == "object" and patterns:
        return {"*": node(next(iter(patterns.values())), definitions, used)}
    return kind if kind in {"string", "integer", "number", "boolean"} else "json"


def reference(path: str, definitions: dict[str, Any], used: dict[str, Any]) -> str:
    """Return the name of a definition, adding it to those that are used."""
    name = path.rpartition("/")[2]
    if name not in used:
        used[name] = None
        used[name] = node(definitions[name], definitions, used)
    return f"#{name}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
