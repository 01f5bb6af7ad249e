"""Filters of parameters: which ones a list shows. Pure.

Source: ParameterStringFilter (Systems Manager API reference).
"""

from collections.abc import Callable, Mapping, Sequence

from forebay.api import ssm as api
from forebay.services.ssm.parameter import Parameter

_TAG = "tag:"
_NAME_OPTIONS = ("Equals", "BeginsWith", "Contains")
_PLAIN_OPTIONS = ("Equals", "BeginsWith")
_PATH_OPTIONS = ("OneLevel", "Recursive")
_VALUE_OF: Mapping[str, Callable[[Parameter], str]] = {
    "Name": lambda parameter: parameter.name,
    "Type": lambda parameter: parameter.latest.type,
    "KeyId": lambda parameter: parameter.latest.key_id or "",
    "Tier": lambda parameter: parameter.latest.tier,
    "DataType": lambda parameter: parameter.latest.data_type,
}
_BY_PATH_KEYS = ("Type", "KeyId", "Label")


def matching(parameter: Parameter, filters: Sequence[api.ParameterStringFilter] | None, *, by_path: bool) -> bool:
    """Return whether all filters let a parameter through; GetParametersByPath has fewer of them.

    Raises:
        InvalidFilterKey, InvalidFilterOption: a filter is none.
    """
    return all(_passes(parameter, each, by_path=by_path) for each in filters or ())


def matching_legacy(parameter: Parameter, filters: Sequence[api.ParametersFilter] | None) -> bool:
    """Return whether all filters of the older form let a parameter through: values are beginnings of names."""
    for each in filters or ():
        value = _VALUE_OF[each.key](parameter)
        if each.key == "Name":
            if not any(value.startswith(prefix) for prefix in each.values):
                return False
        elif value not in each.values:
            return False
    return True


def _passes(parameter: Parameter, given: api.ParameterStringFilter, *, by_path: bool) -> bool:
    key, values = given.key, given.values or []
    if by_path and key not in _BY_PATH_KEYS:
        raise _invalid_key(key)
    if key.startswith(_TAG):
        value = parameter.tags.get(key.removeprefix(_TAG))
        return value is not None and (not values or _compare(given, value, _PLAIN_OPTIONS))
    if key == "Label":
        return any(label in values for label in parameter.labels_of(parameter.latest.number))
    if key == "Path":
        return _is_below(parameter.name, values, given.option or "OneLevel")
    if key not in _VALUE_OF:
        raise _invalid_key(key)
    return _compare(given, _VALUE_OF[key](parameter), _NAME_OPTIONS if key == "Name" else _PLAIN_OPTIONS)


def _compare(given: api.ParameterStringFilter, value: str, options: Sequence[str]) -> bool:
    option = given.option or "Equals"
    if option not in options:
        raise _invalid_option(option, options)
    # A name is found with and without its first slash.
    name = value.lstrip("/") if given.key == "Name" else value
    wanted = [each.lstrip("/") if given.key == "Name" and option != "Contains" else each for each in given.values or []]
    match option:
        case "BeginsWith":
            return any(name.startswith(each) for each in wanted)
        case "Contains":
            return any(each in value for each in wanted)
        case _:
            return name in wanted


def _is_below(name: str, paths: Sequence[str], option: str) -> bool:
    if option not in _PATH_OPTIONS:
        raise _invalid_option(option, _PATH_OPTIONS)
    for path in paths:
        start = path.rstrip("/") + "/"
        if name.startswith(start) and (option == "Recursive" or "/" not in name[len(start) :]):
            return True
    return False


def _invalid_key(key: str) -> api.InvalidFilterKey:
    return api.InvalidFilterKey(f"The following filter key is not valid: {key}.")


def _invalid_option(option: str, options: Sequence[str]) -> api.InvalidFilterOption:
    text = f"The following filter option is not valid: {option}. Valid options include: {', '.join(options)}."
    return api.InvalidFilterOption(text)
