"""Statements as tokens."""

import re
from dataclasses import dataclass

from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.errors import invalid

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*)|(?P<text>'(?:[^']|'')*')|(?P<quoted>\"(?:[^\"]|\"\")*\")"
    r"|(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)|(?P<sign><<|>>|<>|!=|<=|>=|[<>=()\[\]{}.,:?*+-])|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is text, quoted, number, name, sign, other or end; texts come without their quotes."""

    kind: str
    text: str
    start: int


def read_tokens(statement: str) -> list[Token]:
    """Return a statement's tokens, and at last the end."""
    found: list[Token] = []
    for match in _TOKEN.finditer(statement):
        kind, text = match.lastgroup or "", match[0]
        if kind == "space":
            continue
        if kind == "text":
            text = text[1:-1].replace("''", "'")
        elif kind == "quoted":
            text = text[1:-1].replace('""', '"')
        found.append(Token(kind, text, match.start()))
    found.append(Token("end", "<EOF>", len(statement)))
    return found


def ill_formed(text: str) -> ServiceError:
    """Return the answer to a statement that is none."""
    return invalid(f"Statement wasn't well formed, can't be processed: {text}")


class Cursor:
    """Reads tokens from the first to the last."""

    def __init__(self, statement: str) -> None:
        self._tokens = read_tokens(statement)
        self._place = 0

    @property
    def next(self) -> Token:
        """The token that is read next."""
        return self._tokens[self._place]

    @property
    def after_next(self) -> Token:
        """The token behind the next one."""
        return self._tokens[min(self._place + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Read a token."""
        token = self._tokens[self._place]
        self._place += token.kind != "end"
        return token

    def is_sign(self, *signs: str) -> bool:
        """Tell whether the next token is one of these signs."""
        return self.next.kind == "sign" and self.next.text in signs

    def take_sign(self, *signs: str) -> bool:
        """Read the next token if it is one of these signs; tell whether it was."""
        is_it = self.is_sign(*signs)
        self._place += is_it
        return is_it

    def is_word(self, *words: str) -> bool:
        """Tell whether the next token is one of these keywords, in whatever case."""
        return self.next.kind == "name" and self.next.text.upper() in words

    def take_word(self, *words: str) -> bool:
        """Read the next token if it is one of these keywords; tell whether it was."""
        is_it = self.is_word(*words)
        self._place += is_it
        return is_it

    def expect_sign(self, sign: str) -> None:
        """Read a sign, or refuse what stands there."""
        if not self.take_sign(sign):
            self.refuse(f"expected {sign}")

    def expect_word(self, word: str) -> None:
        """Read a keyword, or refuse what stands there."""
        if not self.take_word(word):
            self.refuse(f"expected {word}")

    def refuse(self, why: str) -> None:
        """Raise the error that names the next token."""
        token = self.next
        raise ill_formed(f"Unexpected token '{token.text}' at position {token.start + 1}, {why}")
