"""Pipes' input templates: EventBridge's language with paths in the placeholders themselves, `<$.body.name>`.

A body that is JSON is seen as what it says ("Implicit body data parsing"). Source: user guide, "Amazon EventBridge
Pipes input transformation".
"""

import re
from typing import Self, cast

import msgspec

from forebay.languages.input_transformer import InvalidTemplate, Reserved, Transformer
from forebay.languages.json_path import InvalidJsonPath

_PLACEHOLDER = re.compile(r"<(\$[^<>]*|aws\.pipes\.[^<>]*)>")
_VARIABLES = {
    "aws.pipes.pipe-arn": "$.pipe.arn",
    "aws.pipes.pipe-name": "$.pipe.name",
    "aws.pipes.source-arn": "$.pipe.source",
    "aws.pipes.enrichment-arn": "$.pipe.enrichment",
    "aws.pipes.target-arn": "$.pipe.target",
    "aws.pipes.event.ingestion-time": "$.pipe.time",
    "aws.pipes.event": "$.event",
    "aws.pipes.event.json": "$.event",
}
_NOTHING_RESERVED = Reserved("", "", "")


class InvalidInputTemplate(ValueError):
    """A template cannot be used; the text says why."""


class PipeVariables(msgspec.Struct, frozen=True):
    """What the variables `<aws.pipes...>` stand for. `time` is ISO 8601."""

    arn: str
    name: str
    source: str
    enrichment: str
    target: str
    time: str


class InputTemplate(msgspec.Struct, frozen=True):
    """A template ready to be filled."""

    transformer: Transformer

    @classmethod
    def parse(cls, text: str) -> Self:
        """Compile a template.

        Raises:
            InvalidInputTemplate: it is not JSON once its placeholders are filled, or has one that means nothing.
        """
        paths: dict[str, str] = {}

        def name_of(match: re.Match[str]) -> str:
            path = match[1]
            if path.startswith("$"):
                path = "$.event" + path[1:]
            elif path in _VARIABLES:
                path = _VARIABLES[path]
            else:
                raise InvalidInputTemplate(f"InputTemplate contains invalid placeholder {path}.")
            name = f"p{len(paths)}"
            paths[name] = path
            return f"<{name}>"

        renamed = _PLACEHOLDER.sub(name_of, text)
        try:
            return cls(Transformer.parse(paths, renamed))
        except InvalidTemplate as error:
            raise InvalidInputTemplate(error.text_for("pipe")) from None
        except InvalidJsonPath as error:
            raise InvalidInputTemplate(f"InputTemplate contains an invalid path: {error}") from None

    def apply(self, event: object, variables: PipeVariables) -> str:
        """Return what is sent for an event."""
        document = {"event": seen(event), "pipe": msgspec.to_builtins(variables)}
        return self.transformer.apply(document, _NOTHING_RESERVED)


def seen(event: object) -> object:
    """Return an event as paths see it: a body that is JSON as what it says."""
    if not isinstance(event, dict):
        return event
    members = cast("dict[str, object]", event)
    body = members.get("body")
    if not isinstance(body, str):
        return members
    try:
        return {**members, "body": msgspec.json.decode(body)}
    except (msgspec.DecodeError, RecursionError):
        return members
