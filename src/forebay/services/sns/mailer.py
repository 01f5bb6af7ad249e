"""Mails of topics on their way: into the local outbox, and to an SMTP server where the node has one."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from forebay.core.clock import Clock
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Outcome, Rejected, Retry
from forebay.delivery.rate import Places
from forebay.services.sns import limits
from forebay.services.sns.mail import as_email, compose
from forebay.services.sns.outbox import Outbox, OutboxMessage
from forebay.services.sns.subscription import Subscription
from forebay.services.sns.topic import Topic
from forebay.store.contract import Store

SendMail = Callable[[EmailMessage], None]
"""Hand a mail to a server; runs on a thread, and raises `OSError` or `SMTPException` where that fails."""


class Mailer:
    """Takes deliveries to subscriptions of mail addresses. `smtp` is the server's URL, None where there is none."""

    def __init__(self, store: Store, clock: Clock, smtp: str | None, sender: str) -> None:
        self._store = store
        self._clock = clock
        self._sender = sender
        self._send = None if smtp is None else smtp_sender(smtp)
        # Threads of their own: a server that hangs holds up nobody else.
        self._threads = ThreadPoolExecutor(limits.SMTP_IN_FLIGHT_MAX, thread_name_prefix="forebay-mail")
        self._places = Places(limits.SMTP_IN_FLIGHT_MAX, limits.SMTP_SECONDS_MAX, limits.SMTP_BUSY_SECONDS_MAX)

    async def accept(self, delivery: Delivery, subscription: Subscription, topic: Topic) -> Accepted | Deferred:
        """Put the mail into the outbox with the sender's commit; with a server, it goes there first."""
        if self._send is not None:
            return Deferred()
        return Accepted(
            [Outbox.append(compose(delivery.payload, subscription, topic, self._sender, delivery.created_at))]
        )

    async def deliver(self, delivery: Delivery, subscription: Subscription, topic: Topic) -> Outcome:
        """Send the mail. A server's refusal is final, anything else is tried again."""
        message = compose(delivery.payload, subscription, topic, self._sender, self._clock.now())
        if self._send is not None:
            wait_seconds = self._places.take("", self._clock.now())
            if wait_seconds > 0:
                return Retry("Busy", "The mail server has not answered yet.", wait_seconds, counts=False)
            try:
                failure = await self._hand_over(self._send, message)
            finally:
                self._places.leave("")
            if failure is not None:
                return failure
        await self._store.submit([Outbox.append(message)])
        return Delivered()

    async def close(self) -> None:
        """End the threads; what they are sending is sent."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _hand_over(self, send: SendMail, message: OutboxMessage) -> Rejected | Retry | None:
        """Send a mail; return what went wrong, if anything did."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, send, as_email(message))
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()), (550, b""))
            return _refused(code, text)
        except smtplib.SMTPResponseException as error:
            return _refused(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            return Retry("ConnectionFailed", f"The mail server cannot be used: {error}")
        return None


def smtp_sender(url: str) -> SendMail:
    """Return what sends mails by a server: `smtp://`, `smtps://` (TLS) or `smtp+tls://` (STARTTLS)."""
    server = urlsplit(url)
    return lambda mail: _send(server, mail)


def _send(server: SplitResult, mail: EmailMessage) -> None:
    host, context = server.hostname or "localhost", ssl.create_default_context()
    client: smtplib.SMTP
    if server.scheme == "smtps":
        client = smtplib.SMTP_SSL(host, server.port or 465, timeout=limits.SMTP_SECONDS_MAX, context=context)
    else:
        client = smtplib.SMTP(host, server.port or 25, timeout=limits.SMTP_SECONDS_MAX)
    with client:
        if server.scheme == "smtp+tls":
            client.starttls(context=context)
        if server.username:
            client.login(unquote(server.username), unquote(server.password or ""))
        client.send_message(mail)


def _refused(code: int, text: bytes | str) -> Rejected | Retry:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    answer = f"The mail server answered {code} {words}".strip()
    return Rejected(str(code), answer) if code >= 500 else Retry(str(code), answer)
