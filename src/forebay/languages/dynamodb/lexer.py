"""Expressions as tokens, and the words in which a token is refused."""

import re
from dataclasses import dataclass
from functools import cached_property

from forebay.languages.dynamodb.errors import invalid

EXPRESSION_BYTES_MAX = 4096
# Seven frames of our stack each, of which Python has a thousand.
_PARENTHESES_MAX = 100

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<alias>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)"
    r"|(?P<number>[0-9]+)|(?P<sign><>|<=|>=|[<>=()\[\].,+-])|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is name, alias, value, number, sign, other or end; it stands at `text[start:end]`."""

    kind: str
    text: str
    start: int
    end: int


@dataclass
class Tokens:
    """The tokens of one expression, read from the first to the last; `what` is the parameter's name, for errors.

    `depth` counts the parentheses that are open, which our own stack has to bear.
    """

    what: str
    text: str
    position: int = 0
    depth: int = 0
    has_redundant_parentheses: bool = False

    @cached_property
    def all(self) -> list[Token]:
        """Every token, and at last the end."""
        found = [
            Token(match.lastgroup or "", match[0], match.start(), match.end())
            for match in _TOKEN.finditer(self.text)
            if match.lastgroup != "space"
        ]
        found.append(Token("end", "<EOF>", len(self.text), len(self.text)))
        return found

    @property
    def next(self) -> Token:
        """The token that is read next."""
        return self.all[self.position]

    @property
    def after_next(self) -> Token:
        """The token behind the next one."""
        return self.all[min(self.position + 1, len(self.all) - 1)]

    def take(self) -> Token:
        """Read a token."""
        token = self.all[self.position]
        self.position += token.kind != "end"
        return token

    def take_sign(self, *signs: str) -> bool:
        """Read the next token if it is one of these signs; tell whether it was."""
        token = self.next
        if token.kind == "sign" and token.text in signs:
            self.position += 1
            return True
        return False

    def is_word(self, *words: str) -> bool:
        """Tell whether the next token is one of these keywords, in whatever case."""
        return self.next.kind == "name" and self.next.text.upper() in words

    def take_word(self, *words: str) -> bool:
        """Read the next token if it is one of these keywords; tell whether it was."""
        if self.is_word(*words):
            self.position += 1
            return True
        return False

    def expect_sign(self, sign: str) -> None:
        """Read a sign, or refuse what stands there."""
        if not self.take_sign(sign):
            self.refuse()

    def expect_word(self, word: str) -> None:
        """Read a keyword, or refuse what stands there."""
        if not self.take_word(word):
            self.refuse()

    def open_parenthesis(self) -> None:
        """Read an opening parenthesis."""
        self.expect_sign("(")
        self.depth += 1
        if self.depth > _PARENTHESES_MAX:
            raise self.error("The expression is nested too deeply;")

    def close_parenthesis(self) -> None:
        """Read a closing parenthesis."""
        self.expect_sign(")")
        self.depth -= 1

    def check_parentheses(self) -> None:
        """Refuse an expression, read to its end, with parentheses around parentheses."""
        if self.has_redundant_parentheses:
            raise self.error("The expression has redundant parentheses;")

    def refuse(self, token: Token | None = None) -> None:
        """Raise the syntax error that names a token (the next one) with its neighbours."""
        refused = token or self.next
        place = self.all.index(refused)
        start = self.all[max(place - 1, 0)].start
        end = self.all[min(place + 1, len(self.all) - 1)].end
        near = self.text[start:end].rstrip() if refused.kind != "end" else self.text[start:].rstrip()
        raise self.error(f'Syntax error; token: "{refused.text}", near: "{near}"')

    def error(self, text: str) -> Exception:
        """Return the error of this expression with a text of its own."""
        return invalid(f"Invalid {self.what}: {text}")


def new_tokens(what: str, text: str) -> Tokens:
    """Begin reading an expression; an empty or too long one is refused."""
    if not text.strip():
        raise invalid(f"Invalid {what}: The expression can not be empty;")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > EXPRESSION_BYTES_MAX:
        raise invalid(f"Invalid {what}: Expression size has exceeded the maximum allowed size; expression size: {size}")
    return Tokens(what, text)
