"""The table of commands. A command's module is imported when the command is used, not before."""

import importlib
from collections.abc import Mapping

import click

import forebay
from forebay.core.errors import ConfigError

# Command -> (module, its click command, one line of help).
_COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "serve": ("forebay.cli.serve", "serve", "Run a node."),
    "up": ("forebay.cli.up", "up", "Run a node, deploy a template, and redeploy when a file changes."),
    "deploy": ("forebay.cli.deploy", "deploy", "Deploy a template to a running node."),
    "events": ("forebay.cli.events", "events", "Put, follow, trace and explain events, archive and replay them."),
    "buses": ("forebay.cli.buses", "buses", "List event buses and their rules."),
    "topics": ("forebay.cli.topics", "topics", "List topics, publish, read the outbox, explain filters."),
    "queues": ("forebay.cli.queues", "queues", "List queues, look into them, move, redrive, purge."),
    "tables": ("forebay.cli.tables", "tables", "List tables, scan and query them, follow their streams."),
    "executions": ("forebay.cli.executions", "executions", "List executions, draw their paths, follow, redrive, stop."),
    "scale": ("forebay.cli.scale", "scale", "Scale pods and nodes as KEDA, the HPA and Karpenter do."),
    "backup": ("forebay.cli.backup", "backup", "Copy the data of a node, also while it runs."),
    "restore": ("forebay.cli.backup", "restore", "Make a data folder what a backup holds."),
    "doctor": ("forebay.cli.doctor", "doctor", "Say what runs here: interpreters, limits, versions."),
}


class _Commands(click.Group):
    """A group whose commands are loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load a command."""
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, attribute, _ = entry
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table without loading any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(forebay.__version__, prog_name="forebay")
def cli() -> None:
    """Forebay: the event-driven platform you run yourself, on AWS's own wire protocols."""


def main() -> None:
    """Run the command line and leave the process with its exit code: 1 for a failure, 2 for a wrong call."""
    try:
        cli(prog_name="forebay")
    except ConfigError as error:
        click.echo(f"forebay: {error}", err=True)
        raise SystemExit(2) from None
