"""Passwords of chance, with the kinds of characters that are asked for. Pure but for the chance."""

import string

from forebay.api import secretsmanager as api
from forebay.core.ids import Ids
from forebay.services.secretsmanager import limits

_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def random_password(request: api.GetRandomPasswordRequest, ids: Ids) -> str:
    """Return a password.

    Raises:
        InvalidParameterException: too short for one of each kind, or nothing is left to choose from.
    """
    excluded = set(request.exclude_characters or "")
    wanted = (
        (string.ascii_lowercase, request.exclude_lowercase),
        (string.ascii_uppercase, request.exclude_uppercase),
        (string.digits, request.exclude_numbers),
        (_PUNCTUATION, request.exclude_punctuation),
        (" ", not request.include_space),
    )
    kinds = ["".join(each for each in alphabet if each not in excluded) for alphabet, is_out in wanted if not is_out]
    kinds = [kind for kind in kinds if kind]
    if not kinds:
        text = "All possible character types have been excluded. At least one character type must be included."
        raise api.InvalidParameterException(text)
    length = request.password_length or limits.PASSWORD_CHARACTERS_DEFAULT
    # One of each kind is the default.
    required = kinds if request.require_each_included_type is not False else []
    if length < len(required):
        text = f"Password length {length} is too short based on the required types."
        raise api.InvalidParameterException(text)
    characters = [ids.token(1, kind) for kind in required]
    characters += ids.token(length - len(characters), "".join(kinds))
    # The required ones must not stand first.
    return "".join(sorted(characters, key=lambda _: ids.uniform(0.0, 1.0)))
