"""The way from a resource's steps to the services: the operation table, as the caller who asked for the deployment."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import structlog

from forebay.core.errors import ServiceError, StoreError
from forebay.services.cloudformation.progress import Progress
from forebay.services.cloudformation.resources.contract import Made, Place, is_existing, is_not_found

log = structlog.get_logger()

T = TypeVar("T")

CANCELLED_TEXTS = {"create": "Resource creation cancelled", "delete": "Resource deletion cancelled"}


class StackSite:
    """A `Site` of one resource of a deployment."""

    def __init__(self, progress: Progress, place: Place, record: Callable[[Made], Awaitable[None]]) -> None:
        self._progress = progress
        self._place = place
        self._record = record
        # The service that failed last, for the words of the failure.
        self.failed_service: str | None = None
        # What the deploy says of the resource.
        self.notes: list[str] = []

    @property
    def place(self) -> Place:
        """Where this is."""
        return self._place

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._progress.now

    async def run(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run an operation as the stack's caller."""
        present = {name: value for name, value in params.items() if value is not None}
        table = self._progress.platform.table
        try:
            return await table.run_params(self._progress.caller, service, operation, present)
        except ServiceError:
            self.failed_service = service
            raise
        except StoreError:
            # The deployment is taken up again when the store is there.
            raise
        except Exception:
            # A service's bug fails the resource, as the wire would answer it, and not the deployer again and again.
            log.exception("deployment.operation_failed", service=service, operation=operation)
            self.failed_service = service
            raise ServiceError.of("InternalFailure", "An internal error occurred.", 500) from None

    async def record(self, made: Made) -> None:
        """Keep what has been made so far."""
        await self._record(made)

    def note(self, text: str) -> None:
        """Have the deploy say something of the resource."""
        if text not in self.notes:
            self.notes.append(text)

    async def pause(self, seconds: float) -> None:
        """Wait before looking again."""
        if await self._progress.is_cancelled():
            raise Cancelled
        await self._progress.platform.clock.sleep(seconds)


async def attempt(step: Awaitable[T]) -> T:
    """Run a step of a resource type; what its code stumbles over is the properties' fault and fails the resource.

    Schemas say which properties there are, but not which of the nested ones must be given.
    """
    try:
        return await step
    except KeyError as error:
        raise ServiceError.of("InvalidRequest", f"A property is missing: {error.args[0]}") from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        log.exception("deployment.step_failed")
        what = f"{type(error).__name__}: {error}"
        raise ServiceError.of("InvalidRequest", f"A property is missing or malformed ({what})") from None


class Cancelled(ServiceError):
    """The deployment was cancelled while a resource was waited for."""

    code = "Cancelled"
    status = 400


def failure_reason(error: ServiceError, site: StackSite) -> str:
    """Return the words in which CloudFormation gives a service's error as the reason of a failed resource."""
    if isinstance(error, Cancelled):
        return CANCELLED_TEXTS["create"]
    if site.failed_service is None:
        return error.message
    place = site.place
    service = site.failed_service.capitalize()
    message = f"{error.message} (Service: {service}, Status Code: {error.status}, Request ID: {place.token})"
    code = _handler_code(error)
    return f'Resource handler returned message: "{message}" (RequestToken: {place.token}, HandlerErrorCode: {code})'


def _handler_code(error: ServiceError) -> str:
    if is_existing(error):
        return "AlreadyExists"
    if is_not_found(error):
        return "NotFound"
    if error.code == "NotStabilized":
        return "NotStabilized"
    return "InvalidRequest" if error.status < 500 else "ServiceInternalError"
