"""Checks what is particular to Map states: processor, mode, reader, batcher and writer."""

import re
from collections.abc import Mapping
from typing import Any

from forebay.languages.asl.diagnostics import Findings
from forebay.languages.asl.value_rules import check_fields, check_one_of, check_required
from forebay.languages.json_kinds import is_object

Fields = Mapping[str, Any]

_READERS = re.compile(r"arn:[^:]+:states:::s3:(getObject|listObjectsV2)")
_WRITERS = re.compile(r"arn:[^:]+:states:::s3:putObject")
_INPUT_TYPES = ("CSV", "JSON", "MANIFEST", "JSONL", "PARQUET")


def check_map(findings: Findings, fields: Fields, *, is_express: bool, here: str) -> None:
    """Check a Map state."""
    name = "ItemProcessor" if "ItemProcessor" in fields else "Iterator"
    if name not in fields:
        return
    processor = fields[name]
    if not is_object(processor):
        findings.schema("Expected value of type Object", f"{here}/{name}")
        return
    config = processor.get("ProcessorConfig", {})
    if not is_object(config):
        findings.schema("Expected value of type Object", f"{here}/{name}/ProcessorConfig")
        return
    is_distributed = _check_config(findings, config, f"{here}/{name}/ProcessorConfig", is_express=is_express)
    # AWS takes the fields of distributed maps in inline ones too, where they mean nothing.
    if is_distributed:
        _check_settings(findings, fields, here)


def _check_settings(findings: Findings, fields: Fields, here: str) -> None:
    reader, writer = fields.get("ItemReader"), fields.get("ResultWriter")
    if is_object(reader):
        _check_reader(findings, reader, f"{here}/ItemReader")
    if is_object(writer):
        _check_resource(findings, writer, _WRITERS, f"{here}/ResultWriter")


def _check_config(findings: Findings, config: Fields, here: str, *, is_express: bool) -> bool:
    mode = config.get("Mode", "INLINE")
    if not check_one_of(findings, mode, ("INLINE", "DISTRIBUTED"), f"{here}/Mode"):
        return False
    if mode == "INLINE":
        check_fields(findings, config, ("Mode",), here)
        return False
    check_fields(findings, config, ("Mode", "ExecutionType"), here)
    if is_express:
        message = "The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS' state machines"
        findings.schema(message, f"{here}/Mode")
    check_required(findings, config, ("ExecutionType",), here)
    check_one_of(findings, config.get("ExecutionType", "STANDARD"), ("STANDARD", "EXPRESS"), f"{here}/ExecutionType")
    return True


def _check_resource(findings: Findings, fields: Fields, allowed: re.Pattern[str], here: str) -> None:
    resource = fields.get("Resource")
    if isinstance(resource, str) and allowed.fullmatch(resource) is None:
        findings.schema("The field 'Resource' does not match any of the allowed values", f"{here}/Resource")


def _check_reader(findings: Findings, reader: Fields, here: str) -> None:
    check_fields(findings, reader, ("Resource", "ReaderConfig", "Parameters", "Arguments"), here)
    check_required(findings, reader, ("Resource",), here)
    _check_resource(findings, reader, _READERS, here)
    config = reader.get("ReaderConfig")
    if not is_object(config):
        return
    where = f"{here}/ReaderConfig"
    settings: Fields = config
    kind = settings.get("InputType")
    if kind is not None:
        check_one_of(findings, kind, _INPUT_TYPES, f"{where}/InputType")
    if kind == "CSV" and "CSVHeaderLocation" not in settings:
        findings.schema("The field 'CSVHeaderLocation' is required", where)
    if kind == "JSON" and "CSVHeaderLocation" in settings:
        findings.schema("Field 'CSVHeaderLocation' is not supported", where)
    if settings.get("CSVHeaderLocation") == "GIVEN":
        check_required(findings, settings, ("CSVHeaders",), where)
