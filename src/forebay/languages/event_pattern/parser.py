"""From a pattern's text to its compiled form; refuses what aws/event-ruler refuses, in its words."""

from forebay.languages.event_pattern.dialect import EVENTBRIDGE, OPERATORS, Dialect
from forebay.languages.event_pattern.expressions import Entry, parse_expression
from forebay.languages.event_pattern.matchers import Address
from forebay.languages.event_pattern.pattern import Branch, Leaf, Pattern
from forebay.languages.event_pattern.scalar import Key, find_address, key_of, parse_millionths, parse_number
from forebay.languages.event_pattern.tokens import InvalidPattern, TokenReader
from forebay.languages.json_tokens import Token

# Deeper patterns would outgrow Python's stack; Jackson stops at 1,000 with this text.
NESTING_MAX = 300

# Ruler keeps these names for operators, also future ones, and so refuses them as fields inside $or.
_RESERVED = OPERATORS | frozenset({
    "=", "<", "<=", ">", ">=", "html", "regex", "not-wildcard", "not-equals-ignore-case", "date-after",
    "date-on-or-after", "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range",
    "ip-address-not-in-range",
})  # fmt: skip

_Leaves = dict[str, Leaf]


def parse_pattern(text: str, dialect: Dialect = EVENTBRIDGE) -> Pattern:
    """Compile a pattern.

    Raises:
        InvalidPattern: the text is not a pattern of this dialect; `reason` says why, in AWS's words.
    """
    if len(text) > dialect.characters_max:
        raise InvalidPattern(f"Event pattern is longer than {dialect.characters_max} characters")
    return Pattern(text, dialect, _Parser(text, dialect).parse())


class _Parser:
    """Holds the reader and the dialect while one pattern is read."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self._text = text
        self._reader = TokenReader(text)
        self._dialect = dialect

    def parse(self) -> tuple[Branch, ...]:
        if self._reader.next().kind != "{":
            self._reader.fail("Filter is not an object")
        branches = self._fields([{}], "", depth=1, inside_or=False)
        return tuple(tuple(sorted(leaves.values(), key=lambda leaf: leaf.path.split("."))) for leaves in branches)

    def _fields(self, branches: list[_Leaves], prefix: str, *, depth: int, inside_or: bool) -> list[_Leaves]:
        """Add the fields of an object, whose opening brace has been read, to every branch."""
        reader = self._reader
        if depth > NESTING_MAX:
            reader.fail(f"Document nesting depth ({depth}) exceeds the maximum allowed ({NESTING_MAX})")
        name = reader.next()
        if name.kind == "}":
            reader.fail("Empty objects are not allowed")
        while name.kind != "}":
            if name.value == "$or":
                branches = self._alternatives(branches, prefix, depth=depth + 1)
                name = reader.next()
                continue
            if inside_or and name.value in _RESERVED:
                reader.fail(f"{name.value} is Ruler reserved fieldName which cannot be used inside $or.")
            path = prefix + name.value
            value = reader.next()
            if value.kind == "{":
                branches = self._fields(branches, f"{path}.", depth=depth + 1, inside_or=inside_or)
            elif value.kind == "[":
                self._add_leaf(branches, path, value)
            else:
                reader.fail(f'"{name.value}" must be an object or an array')
            name = reader.next()
        return branches

    def _alternatives(self, branches: list[_Leaves], prefix: str, *, depth: int) -> list[_Leaves]:
        """Multiply the branches by the objects of an $or."""
        reader = self._reader
        if reader.next().kind != "[":
            reader.fail("It must be an Array followed with $or.")
        multiplied: list[_Leaves] = []
        count = 0
        while (token := reader.next()).kind != "]":
            count += 1
            if token.kind != "{":
                reader.fail("Only JSON object is allowed in array of $or relationship.")
            copies = [dict(leaves) for leaves in branches]
            multiplied += self._fields(copies, prefix, depth=depth, inside_or=True)
            if len(multiplied) > self._dialect.combinations_max:
                reader.fail(f"$or stands for more than {self._dialect.combinations_max} rule combinations.")
        if count < 2:
            reader.fail("There must have at least 2 Objects in $or relationship.")
        return multiplied

    def _add_leaf(self, branches: list[_Leaves], path: str, opening: Token) -> None:
        reader = self._reader
        entries: list[Entry] = []
        while (token := reader.next()).kind != "]":
            entries.append(self._entry(token))
        if not entries:
            reader.fail("Empty arrays are not allowed")
        leaf = Leaf(
            path=path,
            keys=frozenset(key for entry in entries for key in entry.keys),
            matchers=tuple(entry.matcher for entry in entries if entry.matcher is not None),
            absent=any(entry.absent for entry in entries),
            source=self._text[opening.at - 1 : token.end],
            number_max=self._dialect.number_max,
        )
        for leaves in branches:
            if path in leaves and not self._dialect.paths_may_repeat:
                reader.fail(f"Path `{path}` cannot be allowed multiple times")
            leaves[path] = leaf

    def _entry(self, token: Token) -> Entry:
        reader = self._reader
        match token.kind:
            case "{":
                return parse_expression(reader, self._dialect)
            case "string":
                text = reader.take(token)
                packed = find_address(text)
                return Entry(keys=(text,), matcher=Address(packed) if packed else None)
            case "number":
                return Entry(keys=(self._number_key(reader.take(token)),))
            case "true" | "false" | "null":
                return Entry(keys=({"true": True, "false": False, "null": None}[token.kind],))
            case _:
                return reader.fail("Match value must be String, number, true, false, or null")

    def _number_key(self, text: str) -> Key:
        number_max = self._dialect.number_max
        try:
            return ("millionths", parse_millionths(text, number_max))
        except ValueError:
            # Too large or too fine to compare numerically (an account number): equal only to itself.
            return key_of(parse_number(text), number_max)
