"""Preset rates of rules: tags that say how many events a second, and how many at once, each target gets. Forebay's own.

`forebay:max-per-second` and `forebay:max-concurrency` hold for each of a rule's targets; with `/<target id>` behind
them, for that one.
"""

import math
from collections.abc import Mapping

from forebay.delivery.contract import Throttle
from forebay.services.events.errors import validation_error

PER_SECOND = "forebay:max-per-second"
CONCURRENCY = "forebay:max-concurrency"


def throttle_of(tags: Mapping[str, str], target_id: str) -> Throttle | None:
    """Return what a target of a rule with these tags takes at most."""
    per_second = tags.get(f"{PER_SECOND}/{target_id}", tags.get(PER_SECOND))
    concurrency = tags.get(f"{CONCURRENCY}/{target_id}", tags.get(CONCURRENCY))
    if per_second is None and concurrency is None:
        return None
    return Throttle(
        None if per_second is None else float(per_second), None if concurrency is None else int(concurrency)
    )


def check_tags(tags: Mapping[str, str]) -> None:
    """Check the tags among these that are presets.

    Raises:
        ValidationException: one is no number above 0.
    """
    for key, value in tags.items():
        kind = {PER_SECOND: float, CONCURRENCY: int}.get(key.partition("/")[0])
        if kind is None:
            continue
        try:
            number = kind(value)
        except ValueError:
            number = 0
        if not 0 < number < math.inf:
            raise validation_error(f"Tag {key} must be a number above 0: {value}.")
