"""Hands a pattern's JSON to the parser token by token and says where it stands."""

from typing import NoReturn

from forebay.languages.json_tokens import InvalidJson, Token, place_of, scan


class InvalidPattern(ValueError):
    """A text is not an event pattern; `reason` is Ruler's text, with the place where one is known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TokenReader:
    """Hands out one token after the other and raises errors at the place reached."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = scan(text)
        self._at = 0

    def next(self) -> Token:
        """Step to the next token; past the last one, an `end` token comes for ever."""
        try:
            token = next(self._tokens, None)
        except InvalidJson as error:
            raise InvalidPattern(str(error)) from None
        token = token or Token("end", "", len(self.text), len(self.text))
        self._at = token.at
        return token

    def take(self, token: Token) -> str:
        """Return the value of the token at hand and move the place behind it."""
        self._at = token.end
        return token.value

    def fail(self, reason: str) -> NoReturn:
        """Refuse the pattern, pointing at the place reached."""
        raise InvalidPattern(f"{reason}\n at {place_of(self.text, self._at)}")
