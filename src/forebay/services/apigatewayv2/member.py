"""Members that travel between shapes: the model lists a route's members five times over, under the same names."""

from typing import Any, TypeVar

import msgspec

from forebay.core.shapes import Shape

T = TypeVar("T", bound=Shape)


def copied(shape: type[T], source: Shape, **further: Any) -> T:
    """Return a shape of another type with the members that `source` has too, and `further` ones."""
    known = source.__struct_fields__
    values = {name: getattr(source, name) for name in shape.__struct_fields__ if name in known}
    return shape(**{**values, **further})


def changed(entity: T, request: Shape, *, fixed: tuple[str, ...] = ()) -> T:
    """Return what is kept with the members that a request gives; an empty one takes the member away."""
    known = entity.__struct_fields__
    values: dict[str, Any] = {}
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if name in known and name not in fixed and value is not None:
            values[name] = None if value in ("", [], {}) else value
    return msgspec.structs.replace(entity, **values)
