"""The rule for names of tables, which answers word as a constraint of the model though the public one is wider.

The public model lets a table be named by its ARN, in up to 1,024 characters; what does not begin like an ARN still has
to be a name of 3 to 255 characters.
"""

import re
from functools import lru_cache

_CONSTRAINTS = (
    "Member must have length less than or equal to 255",
    "Member must have length greater than or equal to 3",
    "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
)
NAMES_CONSTRAINT = f"[{', '.join(_CONSTRAINTS)}]"
LENGTH_TEXT = "TableName must be at least 3 characters long and at most 255 characters long"

_NAME = re.compile(r"[a-zA-Z0-9_.-]+\Z")


@lru_cache(maxsize=4096)
def broken_constraints(name: str) -> tuple[str, ...]:
    """Return the constraints that a text breaks as the name or ARN of a table."""
    if name.startswith("arn:"):
        return ()
    broken = (len(name) > 255, len(name) < 3, not _NAME.match(name))
    return tuple(words for words, is_broken in zip(_CONSTRAINTS, broken, strict=True) if is_broken)


def has_length(name: str) -> bool:
    """Tell whether a text is long and short enough for a table's name, or an ARN."""
    return name.startswith("arn:") or 3 <= len(name) <= 255
