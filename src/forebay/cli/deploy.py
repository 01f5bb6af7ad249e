"""`forebay deploy`: deploy a template to a running node."""

from pathlib import Path

import click
import msgspec

from forebay.cli.client import Endpoint, endpoint_options, print_json
from forebay.cli.deployment import Deployed, Order, deploy_template, find_template, stack_name


@click.command()
@click.argument("template", type=click.Path(exists=True, path_type=Path))
@click.option("--stack-name", "stack", help="Name of the stack; by default that of the template's folder.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable.")
@click.option("--allow-ignored", is_flag=True, help="Deploy although some properties will have no effect; list them.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@endpoint_options
def deploy(  # noqa: PLR0913 - one parameter an option
    template: Path,
    *,
    stack: str | None,
    parameters: tuple[str, ...],
    allow_ignored: bool,
    as_json: bool,
    endpoint: str,
    region: str,
    account: str,
) -> None:
    """Deploy TEMPLATE (SAM or CloudFormation; a file, or a folder that holds one) to a running node."""
    node = Endpoint(endpoint, region, account)
    node.control("version")
    file = find_template(template)
    order = Order(file, stack or stack_name(file), parse_parameters(parameters), allow_ignored)
    deployed = deploy_template(node, order, lambda line: click.echo(line, err=True))
    if as_json:
        print_json(msgspec.to_builtins(deployed))
    else:
        for line in result_lines(deployed):
            click.echo(line)


def parse_parameters(given: tuple[str, ...]) -> dict[str, str]:
    """Take `NAME=VALUE` options apart.

    Raises:
        click.BadParameter: one has no `=`.
    """
    pairs: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"'{text}' is not NAME=VALUE", param_hint="--parameter")
        pairs[name] = value
    return pairs


def result_lines(deployed: Deployed) -> list[str]:
    """Return lines for people about a deploy."""
    verb = "deployed" if deployed.changed else "unchanged"
    lines = [click.style(f"Stack {deployed.stack} {verb}.", bold=True)]
    lines += [f"  note: {notice}" for notice in deployed.notices]
    width = max((len(name) for name in deployed.outputs), default=0)
    for name, value in deployed.outputs.items():
        lines.append(f"  {name:<{width}}  {value}")
        if name in deployed.local:
            lines.append(f"  {'':<{width}}  {click.style('answers here at', dim=True)} {deployed.local[name]}")
    return lines
