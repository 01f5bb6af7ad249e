"""The rules of tags."""

from collections.abc import Mapping

from forebay.languages.dynamodb.errors import invalid_parameter
from forebay.services.dynamodb import limits


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that are AWS's own or too many."""
    for key in tags:
        if key.lower().startswith("aws:"):
            raise invalid_parameter(f"Tag key cannot begin with aws: {key}")
    if len(tags) > limits.TAGS_MAX:
        raise invalid_parameter(f"Too many tags: The maximum number of tags is {limits.TAGS_MAX}")
