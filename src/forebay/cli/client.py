"""How commands talk to a running node: boto3 for AWS's APIs, plain HTTP for `/_forebay/`."""

import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])

_TIMEOUT_SECONDS = 60.0


class Endpoint:
    """A node, as a command reaches it."""

    def __init__(self, url: str, region: str, account: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"'{url}' is no http:// or https:// URL", param_hint="--endpoint")
        self.url = url.rstrip("/")
        self.region = region
        self.account = account

    def client(self, service: str) -> Any:
        """Return a boto3 client. The user's own credentials are used where there are any."""
        import boto3  # noqa: PLC0415 - a tenth of a second that other commands need not pay
        from botocore.config import Config  # noqa: PLC0415

        keys: dict[str, str] = {}
        if "AWS_ACCESS_KEY_ID" not in os.environ and "AWS_PROFILE" not in os.environ:
            keys = {"aws_access_key_id": self.account, "aws_secret_access_key": "local"}
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3, "mode": "standard"})
        return cast("Any", boto3).client(service, endpoint_url=self.url, region_name=self.region, config=config, **keys)

    def control(self, name: str, query: Mapping[str, str] | None = None, body: object = None) -> Any:
        """Call `/_forebay/<name>` and return its answer.

        Raises:
            click.ClickException: the node is not there, or refuses.
        """
        parameters = {"region": self.region, "account": self.account, **(query or {})}
        url = f"{self.url}/_forebay/{name}?{urllib.parse.urlencode(parameters)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data)  # noqa: S310 - the user's own endpoint
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            raise click.ClickException(_message_of(text)) from None
        except (OSError, http.client.HTTPException) as error:
            self.unreachable(error)
        except ValueError as error:
            # An answer that is not JSON: another program listens there.
            raise click.ClickException(f"{self.url} is not a Forebay node ({error}).") from None

    def unreachable(self, error: Exception) -> NoReturn:
        """Tell that the node cannot be reached, and what to do."""
        raise click.ClickException(
            f"No node answers at {self.url} ({error}). Start one with `forebay serve`, or name another with --endpoint."
        ) from None


def endpoint_options(function: F) -> F:
    """Add the options that name a node: --endpoint, --region, --account."""
    for option in (
        click.option("--account", envvar="FOREBAY_ACCOUNT", default="000000000000", help="Account to act in."),
        click.option("--region", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], default="us-east-1", help="Region."),
        click.option(
            "--endpoint",
            envvar=["AWS_ENDPOINT_URL", "FOREBAY_ENDPOINT"],
            default="http://127.0.0.1:4566",
            help="URL of the node.",
            show_default=True,
        ),
    ):
        function = option(function)
    return function


def answer(client_call: Callable[[], Any]) -> Any:
    """Run a boto3 call and turn its failures into messages for people.

    Raises:
        click.ClickException: the call failed.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        return client_call()
    except ClientError as error:
        details: Mapping[str, Any] = cast("Any", error).response["Error"]
        raise click.ClickException(f"{details.get('Code')}: {details.get('Message')}") from None
    except BotoCoreError as error:
        raise click.ClickException(str(error)) from None


def print_json(value: object) -> None:
    """Write a value for scripts."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def _message_of(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text or "The node refused."
