"""The rules of what a resource bears: tags (developer guide, "Tagging restrictions in DynamoDB") and a policy.

Their texts are not verified.
"""

import json
import re
from collections.abc import Mapping

from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.services.dynamodb import limits

# "Letters, white space, and numbers, plus the special characters + - = . _ : /", and @ as everywhere.
_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*\Z")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that are AWS's own, too many or of other characters."""
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise invalid_parameter(f"Tag key cannot begin with aws: {key}")
        for text in (key, value):
            if not _ALLOWED.match(text):
                raise invalid_parameter(f"Tag contains a character that is not allowed: {text}")
    if len(tags) > limits.TAGS_MAX:
        raise invalid_parameter(f"Too many tags: The maximum number of tags is {limits.TAGS_MAX}")


def check_policy(policy: str) -> None:
    """Refuse a policy that is no JSON."""
    try:
        json.loads(policy)
    except ValueError:
        raise invalid("Resource policy is not a valid JSON document") from None
