"""Command-line options for the settings of `Config`, made from its fields so that they cannot drift apart."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click
import msgspec

from forebay.config import Config, load_config

F = TypeVar("F", bound=Callable[..., Any])


def setting_options(function: F) -> F:
    """Add an option for each setting; the command gets them as keyword arguments, None where not given."""
    hints = get_type_hints(Config, include_extras=True)
    for field in reversed(msgspec.structs.fields(Config)):
        kind, meta = get_args(hints[field.name])
        option = click.option(
            f"--{field.name.replace('_', '-')}",
            field.name,
            type=_click_type(kind),
            default=None,
            help=f"{meta.description} [default: {_shown(field.default)}]",
        )
        function = option(function)
    return function


def config_from(given: Mapping[str, object]) -> Config:
    """Return the configuration that the options and the environment make."""
    return load_config(given, os.environ)


def _click_type(kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice(list(get_args(kind)))
    options = [option for option in (get_args(kind) or (kind,)) if option is not type(None)]
    plain = options[0]
    return click.Path(path_type=Path) if plain is Path else plain


def _shown(default: object) -> str:
    return "none" if default is None else str(default)
