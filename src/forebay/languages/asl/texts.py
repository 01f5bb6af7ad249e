"""AWS's sentences about what went wrong in a state, in one place so that they can be compared with AWS's at a glance.

Sentences marked "unverified" are worded after AWS's others; no public record of them was found.
"""


def in_state(name: str, entered_event_id: int, sentence: str) -> str:
    """Say which state a sentence is about."""
    where = f"the state '{name}' (entered at the event id #{entered_event_id})"
    return f"An error occurred while executing {where}. {sentence}"


def path_not_found(path: str, field: str, document: str) -> str:
    """A path leads nowhere."""
    return f"The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{document}'"


def invalid_path(path: str, reason: str) -> str:
    """InputPath or OutputPath leads nowhere."""
    return f"Invalid path '{path}' : {reason}"


def no_input_value(field: str, path: str) -> str:
    """A path to a number or an instant leads nowhere."""
    return f"The {field} parameter does not reference an input value: {path}"


def step_not_found(step: str | int, document: str) -> str:
    """A reference path's step leads nowhere."""
    return f'Unable to apply step "{step}" to input {document}'


def invalid_choice_path(path: str) -> str:
    """A Choice rule's Variable leads nowhere."""
    return f"Invalid path '{path}': The choice state's condition path references an invalid value."


NULL_INPUT = "Unable to apply Path transformation to null or empty input."
TOO_DEEP = "The data of the state is nested too deeply."  # unverified
NO_CHOICE_MATCHED = "Failed to transition out of the state. The state does not point to a next state."
HISTORY_FULL = "The execution reached the maximum number of history events (25000)."


def result_too_large(name: str) -> str:
    """A result is larger than a payload may be."""
    return f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit."


def variables_too_large(name: str) -> str:
    """An Assign sets more than variables may hold (unverified)."""
    return f"The state '{name}' assigned variables with a size exceeding the maximum number of bytes service limit."
