"""How a function's asynchronous invocations are retried and where their results go, as kept and shown."""

import msgspec

from forebay.api import lambda_ as api
from forebay.services.lambda_ import limits
from forebay.services.lambda_.function import LATEST
from forebay.store.records import Kind, record_key


class InvokeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one function, version or alias; None is AWS's default. Destinations are ARNs."""

    arn: str
    modified_at: float
    retries: int | None = None
    age_seconds: int | None = None
    on_success: str = ""
    on_failure: str = ""

    @property
    def retries_max(self) -> int:
        """How many times an event is tried again."""
        return limits.ASYNC_RETRIES if self.retries is None else self.retries

    @property
    def age_seconds_max(self) -> int:
        """How old an event may get."""
        return self.age_seconds or limits.ASYNC_AGE_SECONDS

    def show(self) -> api.FunctionEventInvokeConfig:
        """Return the settings as GetFunctionEventInvokeConfig shows them."""
        return api.FunctionEventInvokeConfig(
            last_modified=self.modified_at,
            function_arn=self.arn,
            maximum_retry_attempts=self.retries,
            maximum_event_age_in_seconds=self.age_seconds,
            destination_config=api.DestinationConfig(
                on_success=api.OnSuccess(destination=self.on_success or None),
                on_failure=api.OnFailure(destination=self.on_failure or None),
            ),
        )


INVOKE_CONFIG = Kind("lambda.invoke_config", InvokeConfig)

DEFAULT = InvokeConfig(arn="", modified_at=0.0)


def invoke_config_key(function_key: str, qualifier: str | None) -> str:
    """Return the key of the settings of what a qualifier names."""
    return record_key(function_key, qualifier or LATEST)
