"""`forebay up`: run a node, deploy a template, show what happens, and deploy again when a file changes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from forebay.cli.client import Endpoint
from forebay.cli.demo import Demo, load_demo, run_demo
from forebay.cli.deploy import parse_parameters, result_lines
from forebay.cli.deployment import Deployed, Order, deploy_template, find_template, stack_name
from forebay.cli.events import arrival_line, clock_time
from forebay.cli.manifests import apply_manifests, find_images, find_manifests
from forebay.cli.serve import run_node
from forebay.cli.settings import config_from, setting_options
from forebay.config import Config
from forebay.node import Node

# Short, as a node that stops waits for the requests under way, and these are its own.
_WAIT_SECONDS = 1
_RETRY_SECONDS = 1.0


@click.command()
@click.argument("template", type=click.Path(exists=True, path_type=Path))
@click.option("--stack-name", "stack", help="Name of the stack; by default that of the template's folder.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable.")
@click.option("--allow-ignored", is_flag=True, help="Deploy although some properties will have no effect; list them.")
@click.option("--demo", is_flag=True, help="Send the requests of the demo.yaml beside the template.")
@click.option("--exit", "exit_after", is_flag=True, help="Stop after the deploy (and the demo) instead of staying up.")
@click.option("--no-watch", is_flag=True, help="Do not deploy again when a file changes.")
@setting_options
def up(  # noqa: PLR0913 - one parameter an option
    template: Path,
    *,
    stack: str | None,
    parameters: tuple[str, ...],
    allow_ignored: bool,
    demo: bool,
    exit_after: bool,
    no_watch: bool,
    **given: Any,
) -> None:
    """Run a node and deploy TEMPLATE (SAM or CloudFormation; a file, or a folder that holds one) on it."""
    given["log_level"] = given.get("log_level") or "warning"
    file = find_template(template)
    given["pod_images"] = given.get("pod_images") or find_images(file.parent)
    config = config_from(given)
    sdk_folder = config.data / "runtimes"
    order = Order(file, stack or stack_name(file), parse_parameters(parameters), allow_ignored, sdk_folder)
    session = Session(config, order, load_demo(file) if demo else None)
    session.stays = not exit_after
    session.watches = not no_watch
    run_node(session.config, session.run)
    if session.failure is not None:
        raise session.failure


class Session:
    """One `forebay up`: what runs beside the node."""

    def __init__(self, config: Config, order: Order, demo: Demo | None) -> None:
        self.config = config
        self.stays = True
        self.watches = True
        self.failure: click.ClickException | None = None
        self._order = order
        self._demo = demo
        self._changed = asyncio.Event()

    async def run(self, node: Node, stopping: asyncio.Event) -> None:
        """Deploy, demonstrate, then follow events, logs and files until it is time to stop."""
        endpoint = Endpoint(node.url, self.config.region, self.config.account)
        _say(f"{click.style('Forebay', bold=True)} serves on {node.url} (data in {self.config.data})")
        async with asyncio.TaskGroup() as group:
            if self.stays and self.watches:
                # From the start, so that a file that is saved during the first deploy is noticed, too.
                group.create_task(self._watch())
            await self._begin(endpoint, stopping)

    async def _begin(self, endpoint: Endpoint, stopping: asyncio.Event) -> None:
        try:
            deployed = await self._deploy_aloud(endpoint)
            if self._demo is not None:
                await asyncio.to_thread(run_demo, endpoint, self._demo, deployed.reachable, _say)
        except click.ClickException as failure:
            # Without a watch there is nothing that could mend it.
            self.failure = failure
            if not (self.stays and self.watches):
                stopping.set()
                return
            _say(click.style(f"Error: {failure.message}", fg="red"))
        if not self.stays:
            stopping.set()
            return
        self.failure = None
        await self._follow(endpoint)

    async def _deploy_aloud(self, endpoint: Endpoint) -> Deployed:
        """Deploy, and show meanwhile what functions say: custom resources are part of a deploy."""
        outcome: Deployed | click.ClickException
        async with asyncio.TaskGroup() as group:
            following = group.create_task(_follow_pages(endpoint, "lambda/tail", "lines", _log_line))
            try:
                outcome = await self._deploy(endpoint)
            except click.ClickException as failure:
                # Raised behind the group, which would wrap it.
                outcome = failure
            following.cancel()
        if isinstance(outcome, click.ClickException):
            raise outcome
        return outcome

    async def _follow(self, endpoint: Endpoint) -> None:
        _say(click.style("\nFollowing events and function logs. Ctrl-C stops the node; its state stays.", dim=True))
        async with asyncio.TaskGroup() as group:
            group.create_task(_follow_pages(endpoint, "events", "events", arrival_line))
            group.create_task(_follow_pages(endpoint, "lambda/tail", "lines", _log_line))
            if self.watches:
                group.create_task(self._redeploy(endpoint))

    async def _deploy(self, endpoint: Endpoint) -> Deployed:
        _say(f"Deploying {self._order.template} as stack {self._order.stack} ...")
        deployed = await asyncio.to_thread(deploy_template, endpoint, self._order, _say_step)
        for line in result_lines(deployed):
            _say(line)
        manifests = find_manifests(self._order.template.resolve().parent)
        if manifests:
            _say(f"Applying {len(manifests)} manifests to the local cluster ...")
            await asyncio.to_thread(apply_manifests, endpoint, manifests, _say_step)
        return deployed

    async def _watch(self) -> None:
        import watchfiles  # noqa: PLC0415 - only a session that stays needs it

        ignored = (*watchfiles.DefaultFilter.ignore_dirs, ".forebay", ".aws-sam", self.config.data.name)
        folder = self._order.template.resolve().parent
        async for _ in cast("Any", watchfiles).awatch(
            folder, watch_filter=watchfiles.DefaultFilter(ignore_dirs=ignored)
        ):
            self._changed.set()

    async def _redeploy(self, endpoint: Endpoint) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._deploy(endpoint)
            except click.ClickException as failure:
                _say(click.style(f"Error: {failure.message}", fg="red"))


async def _follow_pages(endpoint: Endpoint, name: str, member: str, line: Callable[[Any], str]) -> None:
    """Show what a long-polled control page brings, without end."""
    after = (await asyncio.to_thread(endpoint.control, name))["next"]
    while True:
        try:
            query = {"after": str(after), "wait": str(_WAIT_SECONDS)}
            page = await asyncio.to_thread(endpoint.control, name, query)
        except click.ClickException:
            # The node is wiped or stopping; the live view is not worth an error.
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        for entry in page[member]:
            _say(line(entry))
        after = page["next"]


def _log_line(entry: Any) -> str:
    function = click.style(entry["function"], fg="blue")
    return f"{clock_time(entry['at'])}  {function}  {entry['line'].rstrip()}"


def _say_step(line: str) -> None:
    _say(click.style(f"  {line}", dim=True))


def _say(line: str) -> None:
    click.echo(line)
