"""The intrinsic functions of JSONPath states: `States.Format('Hello, {}', $.name)`.

Syntax and functions: Amazon States Language specification, appendix B, and the developer guide's "Intrinsic functions".
"""

from forebay.languages.asl.machine import Expression


def is_intrinsic(text: str) -> bool:
    """Return whether a text calls a function, well or badly."""
    return text.startswith("States.")


def parse_intrinsic(text: str) -> Expression:
    """Compile a function call.

    Raises:
        InvalidPath: it is none.
    """
    raise NotImplementedError(text)
