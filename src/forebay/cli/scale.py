"""`forebay scale`: the table of its commands. A command's module is imported when the command is used."""

import importlib
from collections.abc import Mapping

import click

# Command -> (module, its click command, one line of help).
_COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "kubeconfig": ("forebay.cli.kubeconfig", "kubeconfig", "Print how kubectl reaches the local cluster."),
    "apply": ("forebay.cli.manifests", "apply", "Apply manifests to the local cluster."),
    "explain": ("forebay.cli.simulate", "explain", "Print the timeline that manifests follow, with the reasons."),
    "lint": ("forebay.cli.lint", "lint", "Name what people get wrong in manifests."),
    "simulate": ("forebay.cli.simulate", "simulate", "Simulate manifests against an arrival curve; compare settings."),
    "record": ("forebay.cli.record", "record", "Write a live queue's arrivals as a curve for `simulate`."),
    "instance-types": ("forebay.cli.simulate", "instance_types", "Print the table of instance types and prices."),
    "watch": ("forebay.cli.cluster_view", "watch", "Watch queues, pods, nodes and cost move."),
}


class _Commands(click.Group):
    """A group whose commands are loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load a command."""
        entry = _COMMANDS.get(cmd_name)
        return None if entry is None else getattr(importlib.import_module(entry[0]), entry[1])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table without loading any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=_Commands)
def scale() -> None:
    """Scale pods and nodes by KEDA's, the HPA's and Karpenter's rules."""
