"""Java's regular expressions as Python's. AWS's models quote the former; msgspec runs the latter.

`translate` answers None for what Python cannot say; the generator lists those in the module it writes.
"""

import re

# Java's \p{Z}: separators of lines, paragraphs and words.
_SEPARATORS = " \\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000"
_REPLACEMENTS = (
    ("\\p{L}\\p{Z}\\p{N}_", "\\w" + _SEPARATORS),
    ("\\p{Print}", "[\\x20-\\x7E]"),
    ("\\p{ASCII}", "[\\x00-\\x7F]"),
    # A class cannot run from \w to something: Java takes the hyphen for itself.
    ("\\w-_", "\\w\\-_"),
    ("\\w-\\/", "\\w\\-\\/"),
    # Spaces fit both the gap and the word here, so a long run of them takes for ever; these match the same texts.
    (
        "[ \\t]*[^\\x00-\\x1F:\\x7F]+([ \\t]+[^\\x00-\\x1F:\\x7F]+)*[ \\t]*",
        "\\t*[^\\x00-\\x1F:\\x7F][^\\x00-\\x08\\x0A-\\x1F:\\x7F]*",
    ),
    ("[ \\t]*[\\x20-\\x7E]+([ \\t]+[\\x20-\\x7E]+)*[ \\t]*", "\\t*[\\x20-\\x7E][\\t\\x20-\\x7E]*"),
    # Java counts UTF-16 units, so models spell the supplementary planes as pairs.
    ("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\\U00010000-\\U0010FFFF"),
)


def translate(pattern: str) -> str | None:
    """Give the Python expression that matches exactly the whole texts that Java's `pattern` matches, or None."""
    spelled = pattern
    for java, python in _REPLACEMENTS:
        spelled = spelled.replace(java, python)
    # Java's \w, \d and \s are ASCII; \p{...} is not, and stood for \w above.
    flags = "" if "\\p{L}" in pattern else "a"
    if spelled.startswith("(?i)"):
        flags, spelled = flags + "i", spelled.removeprefix("(?i)")
    whole = f"\\A(?{flags}:{spelled})\\Z"
    try:
        re.compile(whole)
    except re.error:
        return None
    return whole
