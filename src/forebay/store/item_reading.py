"""How a `ReadItems` becomes bounds on columns: what SQL engines share.

Items of a table are ordered by partition and sort key; entries of an index by those of the index and then by those of
the item. A read with a partition has that equal and is ordered by the rest.
"""

import msgspec

from forebay.store.items import ReadItems

# Of a table; of an index.
_ORDER = ("partition_key", "sort_key")
_INDEX_ORDER = (*_ORDER, "item_partition", "item_sort")


class Bound(msgspec.Struct, frozen=True, gc=False):
    """Bounds columns, compared as one, by as many values: `operator` is one of =, <, <=, >, >=."""

    columns: tuple[str, ...]
    operator: str
    values: tuple[bytes, ...]


class Reading(msgspec.Struct, frozen=True, gc=False):
    """Bounds, and the columns to order by (all of them backwards, where the query is)."""

    bounds: tuple[Bound, ...]
    order: tuple[str, ...]


def plan_reading(query: ReadItems) -> Reading | None:
    """Return how to read; None when nothing can be found."""
    order = _ORDER if query.index is None else _INDEX_ORDER
    forward = not query.is_backward
    if query.partition is None:
        low = None if query.partition_low is None else Bound(order[:1], ">=", (query.partition_low,))
        high = None if query.partition_high is None else Bound(order[:1], "<", (query.partition_high,))
        fixed: tuple[Bound, ...] = ()
    else:
        sorts = query.sorts
        low = None if sorts.low is None else Bound(order[1:2], ">" if sorts.is_low_excluded else ">=", (sorts.low,))
        high = None if sorts.high is None else Bound(order[1:2], "<" if sorts.is_high_excluded else "<=", (sorts.high,))
        fixed = (Bound(order[:1], "=", (query.partition,)),)
    after = _after(query)
    if after is not None and query.partition is not None:
        if after[0] != query.partition:
            if (after[0] > query.partition) == forward:
                return None
            after = None
        else:
            after = after[1:]
    order = order[len(fixed) :]
    if after is not None:
        behind = Bound(order[: len(after)], ">" if forward else "<", after)
        if forward:
            low = _tighter(low, behind, is_low=True)
        else:
            high = _tighter(high, behind, is_low=False)
    return Reading((*fixed, *[bound for bound in (low, high) if bound is not None]), order)


def _after(query: ReadItems) -> tuple[bytes, ...] | None:
    if query.after is None:
        return None
    position = (query.after.partition, query.after.sort)
    if query.index is None or query.after_item is None:
        return position
    return (*position, query.after_item.partition, query.after_item.sort)


def _tighter(bound: Bound | None, behind: Bound, *, is_low: bool) -> Bound:
    """Return where the page goes on, unless it has not reached the range yet."""
    if bound is None:
        return behind
    there = behind.values[: len(bound.values)]
    is_before = there < bound.values if is_low else there > bound.values
    is_excluded = there == bound.values and bound.operator in {"<", ">"}
    return bound if is_before or is_excluded else behind
