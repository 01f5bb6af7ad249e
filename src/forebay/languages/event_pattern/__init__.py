"""Event patterns: one matcher for EventBridge rules, Lambda's filters, Pipes and SNS.

Behaviour and error texts follow AWS's own engine, aws/event-ruler, and the EventBridge user guide. Reading order:
`dialect.py` (what a service allows), `tokens.py`, `expressions.py` and `parser.py` (text to pattern), `scalar.py` and
`matchers.py` (what a value may be), `arrays.py` (events as flat fields, array consistency), `pattern.py` (matching and
explaining), `rule_set.py` (many patterns at once).

Left out: Ruler's complexity score, by which EventBridge refuses rules with very many wildcards; a wildcard here costs
time linear in the value.
"""

from forebay.languages.event_pattern.arrays import Fields
from forebay.languages.event_pattern.dialect import (
    EVENTBRIDGE,
    LAMBDA,
    PIPES,
    SNS_ATTRIBUTES,
    SNS_PAYLOAD,
    Dialect,
)
from forebay.languages.event_pattern.parser import parse_pattern
from forebay.languages.event_pattern.pattern import Mismatch, Pattern, explain, explain_fields, matches
from forebay.languages.event_pattern.rule_set import RuleSet
from forebay.languages.event_pattern.tokens import InvalidPattern

__all__ = [
    "EVENTBRIDGE",
    "LAMBDA",
    "PIPES",
    "SNS_ATTRIBUTES",
    "SNS_PAYLOAD",
    "Dialect",
    "Fields",
    "InvalidPattern",
    "Mismatch",
    "Pattern",
    "RuleSet",
    "explain",
    "explain_fields",
    "matches",
    "parse_pattern",
]
