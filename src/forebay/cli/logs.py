"""How a node writes its own log: one event a line on standard error, as text or JSON."""

import sys
from typing import Any

import msgspec
import structlog

from forebay.config import Config

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(config: Config) -> None:
    """Set the level and form of log lines for this process."""
    renderer: Any
    if config.log_format == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_as_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if config.log_format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.log_level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _as_json(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
