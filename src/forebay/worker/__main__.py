"""`python -m forebay.worker --queue orders app:handle`: run a handler without writing a main program."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields

from forebay.worker.settings import Settings
from forebay.worker.worker import Worker

_NUMBERS = ("concurrency", "batch_size", "lease_seconds", "wait_seconds", "grace_seconds", "per_second")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker until it is told to stop; the exit status is 1 where work was cut off."""
    parser = argparse.ArgumentParser(prog="python -m forebay.worker", description=__doc__)
    parser.add_argument("handler", help="MODULE:FUNCTION, called with each message")
    parser.add_argument("--queue", required=True, help="the queue's URL or bare name")
    parser.add_argument("--batches", action="store_true", help="the function takes a list of messages")
    defaults = {field.name: field.default for field in fields(Settings)}
    for name in _NUMBERS:
        kind = float if name in ("grace_seconds", "per_second") else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=defaults[name], metavar="N")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    module, _, function = given.handler.partition(":")
    sys.path.insert(0, "")
    try:
        handler = getattr(importlib.import_module(module), function)
        settings = Settings(**{name: getattr(given, name) for name in _NUMBERS})
    except (ImportError, AttributeError, ValueError) as error:
        parser.error(str(error))
    named = {"handle_batch": handler} if given.batches else {"handle": handler}
    report = Worker(given.queue, settings=settings, **named).run()
    return 1 if report.cut_off else 0


if __name__ == "__main__":
    sys.exit(main())
