"""Tokens for connections with OAuth, and the duty that authorises such connections when they are made or changed."""

import msgspec
from msgspec.structs import replace

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.operations.secret_box import SecretBox
from forebay.services.events import limits
from forebay.services.events.connection import CONNECTION, Connection, unseal
from forebay.services.events.http_client import HttpClient, NoAnswer
from forebay.services.events.invocation import token_request
from forebay.store.commands import ClaimedTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction

AUTHORIZE_TIMER = "events.authorize"


class Tokens:
    """OAuth tokens of connections, kept as long as they hold."""

    def __init__(self, clock: Clock, client: HttpClient) -> None:
        self._clock = clock
        self._client = client
        # By the connection's ARN: of which change of it, the token, and until when it holds.
        self._tokens: dict[str, tuple[float, str, float]] = {}

    async def find(self, connection: Connection) -> str | None:
        """Return a token for a connection, asking for one where none is at hand; None where it needs none.

        Raises:
            NoAnswer: there is none to be had.
        """
        parameters = connection.parameters
        if parameters is None or parameters.o_auth_parameters is None:
            return None
        held = self._tokens.get(connection.arn())
        if held is not None and held[0] == connection.modified_at and held[2] > self._clock.now():
            return held[1]
        answer = await self._client.send(token_request(parameters.o_auth_parameters))
        token = _read_token(answer.body) if answer.status == 200 else None
        if token is None:
            raise NoAnswer(f"The authorization endpoint gave no token (status {answer.status})")
        until = self._clock.now() + token.expires_in
        self._tokens[connection.arn()] = (connection.modified_at, token.access_token, until)
        return token.access_token

    def forget(self, connection: Connection) -> None:
        """Forget a token that was refused."""
        self._tokens.pop(connection.arn(), None)


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = 300.0


class Authorizer:
    """Asks for a first token of each connection that is `AUTHORIZING`. A `Worker`.

    One that is refused or cannot be had makes the connection `DEAUTHORIZED`, with the reason; an update tries again.
    """

    name = "events.authorize"

    def __init__(self, store: Store, clock: Clock, tokens: Tokens, box: SecretBox) -> None:
        self._store = store
        self._clock = clock
        self._tokens = tokens
        self._box = box
        self._timers = DueTimers(
            store,
            clock,
            AUTHORIZE_TIMER,
            batch=limits.AUTHORIZE_BATCH,
            lease_seconds=limits.AUTHORIZE_LEASE_SECONDS,
        )

    async def run_once(self) -> float:
        """Authorise connections that wait for it; return the seconds until the next one does."""
        for timer in await self._timers.claim():
            await self._authorize(timer)
        return await self._timers.seconds_until_next()

    async def _authorize(self, timer: ClaimedTimer) -> None:
        found = await self._store.view(lambda view: view.records.find(CONNECTION, timer.key))
        reason = None
        if found is not None and found.state == "AUTHORIZING":
            try:
                await self._tokens.find(await unseal(self._box, found))
            except NoAnswer as failure:
                reason = str(failure)
        now = self._clock.now()

        def settle(transaction: Transaction) -> None:
            transaction.apply(SettleTimers(AUTHORIZE_TIMER, (Settlement(timer.key, timer.epoch),)))
            if found is None or transaction.records.find(CONNECTION, timer.key) != found:
                return
            if found.state == "AUTHORIZING":
                transaction.records.put(CONNECTION, timer.key, _authorized(found, reason, now))

        await self._store.transact(settle)


def _authorized(connection: Connection, reason: str | None, now: float) -> Connection:
    if reason is None:
        return replace(connection, state="AUTHORIZED", authorized_at=now)
    return replace(connection, state="DEAUTHORIZED", state_reason=f"Failed to authorize the connection. {reason}.")


def _read_token(body: bytes) -> _Token | None:
    try:
        return msgspec.json.decode(body, type=_Token, strict=False)
    except (msgspec.MsgspecError, UnicodeError):
        return None
