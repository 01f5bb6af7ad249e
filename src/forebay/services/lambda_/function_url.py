"""Function URLs as they are kept: which function an id stands for, who may call, CORS."""

import msgspec

from forebay.api import lambda_ as api
from forebay.services.lambda_.function import LATEST
from forebay.store.records import Kind, Records, key_prefix, record_key

ID_CHARACTERS = 32


class FunctionUrl(msgspec.Struct, frozen=True, kw_only=True):
    """The URL of a function or of an alias (`qualifier`)."""

    url_id: str
    function_key: str
    function_arn: str
    auth_type: api.FunctionUrlAuthType
    created_at: float
    modified_at: float
    qualifier: str | None = None
    cors: api.Cors | None = None
    invoke_mode: api.InvokeMode = "BUFFERED"

    @property
    def key(self) -> str:
        """The key of the record."""
        return url_key(self.function_key, self.qualifier)

    @property
    def arn(self) -> str:
        """The ARN of what is invoked."""
        return f"{self.function_arn}:{self.qualifier}" if self.qualifier else self.function_arn


FUNCTION_URL = Kind("lambda.url", FunctionUrl)

URL_ID = Kind("lambda.url_id", str)
"""From an id to the key of its `FunctionUrl`."""


def url_key(function_key: str, qualifier: str | None) -> str:
    """Return the key of the URL of a function or alias."""
    return record_key(function_key, qualifier or LATEST)


def url_of(endpoint: str, url_id: str) -> str:
    """Return the URL by which a function is called: by path, because host names below localhost rarely resolve."""
    return f"{endpoint}/_aws/lambda-url/{url_id}/"


def drop_urls(records: Records, function_key: str, qualifier: str | None = None) -> None:
    """Delete a function's URLs, or that of one of its aliases."""
    for key, url in records.list(FUNCTION_URL, key_prefix(function_key)):
        if qualifier is None or url.qualifier == qualifier:
            records.delete(URL_ID, url.url_id)
            records.delete(FUNCTION_URL, key)
