"""Links under which code can be fetched for ten minutes: what AWS does with presigned S3 URLs.

They are answered by the service's ingress, under an id that no function URL has.
"""

import hashlib
import hmac

from forebay.core.ids import Ids
from forebay.services.lambda_.limits import CODE_LINK_SECONDS
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind

CODE_RESOURCE = "code"

_SECRET = Kind("lambda.link_secret", str)


class CodeLinks:
    """Makes links and checks them; they are signed with a secret of this store."""

    def __init__(self, secret: str) -> None:
        self._secret = bytes.fromhex(secret)

    def link(self, endpoint: str, sha256: str, now: float) -> str:
        """Return the URL of an archive."""
        expires_at = int(now) + CODE_LINK_SECONDS
        signature = self._signature(sha256, expires_at)
        return f"{endpoint}/_aws/lambda-url/{CODE_RESOURCE}/{sha256}?Expires={expires_at}&Signature={signature}"

    def is_valid(self, sha256: str, expires: str, signature: str, now: float) -> bool:
        """Tell whether a link is ours and not over."""
        if not expires.isascii() or not expires.isdecimal() or len(expires) > 12 or int(expires) < now:
            return False
        return hmac.compare_digest(self._signature(sha256, int(expires)), signature)

    def _signature(self, sha256: str, expires_at: int) -> str:
        return hmac.new(self._secret, f"{sha256}/{expires_at}".encode(), hashlib.sha256).hexdigest()


async def open_code_links(store: Store, ids: Ids) -> CodeLinks:
    """Return the links of this store, whose secret is made when it is first needed."""
    secret = await store.view(lambda view: view.records.find(_SECRET, ""))
    if secret is not None:
        return CodeLinks(secret)
    fresh = ids.bytes(32).hex()

    def make(transaction: Transaction) -> str:
        present = transaction.records.find(_SECRET, "")
        if present is None:
            transaction.records.put(_SECRET, "", fresh)
        return present or fresh

    return CodeLinks(await store.transact(make))
