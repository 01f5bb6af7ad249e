"""Physical names that CloudFormation makes up: `stack-Logical-RANDOM`, within each service's rules."""

import msgspec

from forebay.core.ids import Ids

SUFFIX_LENGTH = 12
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_MIXED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class NameRule(msgspec.Struct, frozen=True):
    """How long a name may be, in which letters, and which property gives it where the template does."""

    property: str
    length_max: int = 64
    lower: bool = False
    # Mixed-case suffixes came with the resource types of CloudFormation's registry.
    mixed_suffix: bool = True
    # Log groups and the like are named by path.
    prefix: str = ""


def physical_name(rule: NameRule, stack: str, logical_id: str, ids: Ids, suffix: str = "") -> str:
    """Return a new name: stack and logical id are shortened in equal parts where they are too long together."""
    if rule.lower:
        stack, logical_id, alphabet = stack.lower(), logical_id.lower(), _LOWER
    else:
        alphabet = _MIXED if rule.mixed_suffix else _UPPER
    chance = ids.token(SUFFIX_LENGTH, alphabet)
    room = rule.length_max - SUFFIX_LENGTH - 2 - len(suffix) - len(rule.prefix)
    if len(stack) + len(logical_id) > room:
        half = room // 2
        logical_id = logical_id[: max(room - min(len(stack), half), half)]
        stack = stack[: room - len(logical_id)]
    return f"{rule.prefix}{stack.rstrip('-')}-{logical_id}-{chance}{suffix}"
