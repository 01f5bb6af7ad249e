"""Filters of secrets: which ones a list shows. Pure. Source: Filter (Secrets Manager API reference)."""

from collections.abc import Sequence

from forebay.api import secretsmanager as api
from forebay.services.secretsmanager.secret import Secret


def matching(secret: Secret, filters: Sequence[api.Filter] | None) -> bool:
    """Return whether all filters let a secret through."""
    return all(_passes(secret, each) for each in filters or ())


def _passes(secret: Secret, given: api.Filter) -> bool:
    """Return whether one of a filter's values matches; a value behind `!` must not match."""
    texts = _texts(secret, given.key or "all")
    outcomes: list[bool] = []
    for value in given.values or ():
        wanted = value.removeprefix("!")
        is_found = any(_matches(given.key or "all", text, wanted) for text in texts)
        if value.startswith("!"):
            if is_found:
                return False
            continue
        outcomes.append(is_found)
    return any(outcomes) if outcomes else True


def _texts(secret: Secret, key: str) -> list[str]:
    words = (secret.description or "").split()
    by_key = {
        "name": [secret.name],
        "description": words,
        "tag-key": list(secret.tags),
        "tag-value": list(secret.tags.values()),
        "primary-region": [secret.region],
        "owning-service": [],
    }
    return by_key.get(key, [secret.name, *words, *secret.tags, *secret.tags.values()])


def _matches(key: str, text: str, wanted: str) -> bool:
    """Compare beginnings; names and tags by case, descriptions and `all` without."""
    if key in ("description", "all"):
        return text.lower().startswith(wanted.lower())
    return text.startswith(wanted)
