"""Where a queue is found: its URL, its ARN and its key among the records."""

from functools import lru_cache

from forebay.api import sqs as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.sqs.errors import missing_parameter
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.store.records import record_key

_ACCOUNT_DIGITS = 12
_REGION = "?region="
# Longer than any real one: what clients can make us remember is bounded.
_KNOWN_URL_CHARACTERS_MAX = 512


def queue_key(account: str, region: str, name: str) -> str:
    """Return the key of a queue's record."""
    return record_key(account, region, name)


def arn_key(arn: Arn) -> str:
    """Return the key of the queue that an ARN names."""
    return record_key(arn.account, arn.region, arn.resource)


def queue_url(call: Call, account: str, name: str) -> str:
    """Return the URL by which the caller reaches a queue; its path is `/<account>/<name>` exactly.

    AWS's URLs of two regions differ in their host. Ours is one host, so one of another region than the node's names it.
    """
    url = f"{call.caller.endpoint}/{account}/{name}"
    return url if call.region == call.platform.config.region else f"{url}{_REGION}{call.region}"


def url_key(call: Call, url: str) -> str:
    """Return the key of the queue that a `QueueUrl` names: a URL that ends in account and name, or a bare name.

    It is in the region that the URL names, else in the caller's.

    Raises:
        MissingParameter: the URL is empty.
        InvalidAddress: the URL does not end in an account and a name.
    """
    caller = call.caller
    find = _known_url_key if len(url) <= _KNOWN_URL_CHARACTERS_MAX else _url_key
    return find(url, caller.account, caller.region)


def _url_key(url: str, own_account: str, region: str) -> str:
    url, _, of_url = url.partition(_REGION)
    region = of_url or region
    head, slash, name = url.rpartition("/")
    if not slash:
        if not name:
            raise missing_parameter("QueueUrl")
        return record_key(own_account, region, name)
    account = head[-_ACCOUNT_DIGITS:]
    is_account = account.isdecimal() and len(account) == _ACCOUNT_DIGITS
    if not name or not is_account or head[-_ACCOUNT_DIGITS - 1 : -_ACCOUNT_DIGITS] != "/":
        raise api.InvalidAddress(f"The address {url} is not valid for this endpoint.")
    return record_key(account, region, name)


_known_url_key = lru_cache(maxsize=16_384)(_url_key)


def no_such_queue() -> ServiceError:
    """Return QueueDoesNotExist, whose text in the Query protocol is still the one of old."""
    error = api.QueueDoesNotExist("The specified queue does not exist.")
    error.query_message = "The specified queue does not exist for this wsdl version."
    return error


def load_queue(call: Call, url: str) -> tuple[str, Queue]:
    """Return a queue and its key inside a transaction.

    Raises:
        QueueDoesNotExist: there is no such queue.
    """
    key = url_key(call, url)
    queue = call.reader.find(QUEUE, key)
    if queue is None:
        raise no_such_queue()
    return key, queue


async def find_queue(call: Call, url: str) -> Queue:
    """Return a queue from the cache, outside a transaction.

    Raises:
        QueueDoesNotExist: there is no such queue.
    """
    queue = await call.find(QUEUE, url_key(call, url))
    if queue is None:
        raise no_such_queue()
    return queue
