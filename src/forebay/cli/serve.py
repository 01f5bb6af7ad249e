"""`forebay serve`: run a node until it is told to stop."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import click

from forebay.cli.logs import configure_logs
from forebay.cli.settings import config_from, setting_options
from forebay.config import Config
from forebay.node import Node, open_node


@click.command()
@setting_options
def serve(**given: Any) -> None:
    """Run a node: every API on one port, everything acknowledged on disk."""
    config = config_from(given)
    run_node(config, _announce)


def run_node(config: Config, beside: Callable[[Node, asyncio.Event], Awaitable[None]]) -> None:
    """Run a node in this process until SIGINT or SIGTERM, with `beside` running while it serves.

    `beside` is given the node and the event that says that it is time to stop; it may set the event itself.
    """
    configure_logs(config)
    try:
        import uvloop  # noqa: PLC0415 - Windows has none

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    run(_serve(config, beside))


async def _serve(config: Config, beside: Callable[[Node, asyncio.Event], Awaitable[None]]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with open_node(config) as node, asyncio.TaskGroup() as group:
        _calm_collector()
        companion = group.create_task(_run_beside(beside, node, stopping))
        await stopping.wait()
        # A second Ctrl-C is for those who do not want to wait.
        loop.remove_signal_handler(signal.SIGINT)
        companion.cancel()


def _calm_collector() -> None:
    """Look for cyclic garbage less often: requests leave nearly none, and looking took 3.5 % of a send's CPU (perf)."""
    gc.collect()
    # What a start has loaded stays anyway.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _run_beside(
    beside: Callable[[Node, asyncio.Event], Awaitable[None]], node: Node, stopping: asyncio.Event
) -> None:
    await beside(node, stopping)


async def _announce(node: Node, _stopping: asyncio.Event) -> None:
    click.echo(f"Forebay serves on {node.url} (data in {node.config.data}).", err=True)
