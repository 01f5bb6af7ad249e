"""What the services that filter with event patterns allow, as values.

EventBridge rules, Lambda's event source mappings and Pipes speak one language with different vocabularies and
limits. SNS joins them as two more values, without array consistency (that attribute filters are flat is SNS's own
rule), so nothing else in this package asks which service it works for.
"""

import msgspec

OPERATORS = frozenset({
    "exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr", "exists",
})  # fmt: skip

# What may stand inside {"anything-but": {...}} and inside {"prefix": {...}} or {"suffix": {...}}.
NEGATED = frozenset({"prefix", "suffix", "equals-ignore-case", "wildcard"})


class Dialect(msgspec.Struct, frozen=True):
    """One service's version of the pattern language."""

    name: str
    characters_max: int = 4_096
    operators: frozenset[str] = OPERATORS
    negated_operators: frozenset[str] = NEGATED
    # Rules that a pattern with $or stands for: the product of the numbers of alternatives.
    combinations_max: int = 1_000
    # Numeric comparison works within +-number_max; numbers beyond it only equal themselves literally.
    number_max: int = 5_000_000_000
    # Whether a later path replaces an equal earlier one (Ruler's default) or makes the pattern invalid.
    paths_may_repeat: bool = True
    # Whether all leaves below one array must be satisfied by the same element of it.
    arrays_are_consistent: bool = True


EVENTBRIDGE = Dialect("EventBridge")

# Pipes lacks the composed forms of anything-but (EventBridge user guide, comparison operators, "Pipe support").
PIPES = Dialect("Pipes", negated_operators=frozenset[str]())

# The rule syntax of "Control which events Lambda sends to your function" is that of Pipes.
LAMBDA = Dialect("Lambda", negated_operators=frozenset[str]())

# SNS compares numbers within a billion and takes policies of 256 KB ("Filter policy constraints"); it ORs over arrays.
SNS_ATTRIBUTES = Dialect(
    "SNS attributes",
    characters_max=262_144,
    combinations_max=150,
    number_max=1_000_000_000,
    arrays_are_consistent=False,
)
SNS_PAYLOAD = Dialect(
    "SNS payload", characters_max=262_144, combinations_max=150, number_max=1_000_000_000, arrays_are_consistent=False
)
