"""Operations on text messages' settings and phone numbers: kept and shown as AWS does it.

No text message ever leaves a node, so nobody can opt out by answering one. A sandbox number's one-time password, which
AWS would send, lies in the local outbox (`forebay topics outbox`).
"""

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from forebay.api import sns as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sns import limits
from forebay.services.sns.errors import broken_constraint, invalid_parameter
from forebay.services.sns.outbox import Outbox, text_message
from forebay.services.sns.pages import page
from forebay.store.records import Kind, key_prefix, record_key

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")
_SETTINGS = frozenset({
    "MonthlySpendLimit", "DeliveryStatusIAMRole", "DeliveryStatusSuccessSamplingRate", "DefaultSenderID",
    "DefaultSMSType", "UsageReportS3Bucket",
})  # fmt: skip
_TYPES = frozenset({"Promotional", "Transactional"})
_PASSWORD_DIGITS = 6


class TextSettings(msgspec.Struct, frozen=True):
    """The settings of an account and region for text messages, as they were set."""

    attributes: dict[str, str] = {}


class SandboxNumber(msgspec.Struct, frozen=True):
    """A phone number that may get messages while the account is in the sandbox."""

    number: str
    password: str
    created_at: float
    is_verified: bool = False


SETTINGS = Kind("sns.text_settings", TextSettings)
SANDBOX_NUMBER = Kind("sns.sandbox_number", SandboxNumber)


@operation
def set_sms_attributes(call: Call, request: api.SetSMSAttributesInput) -> api.SetSMSAttributesResponse:
    """Set settings for text messages; the others keep their values."""
    for name, value in request.attributes.items():
        _check_setting(name, value)
    known = call.records.find(SETTINGS, record_key(call.account, call.region)) or TextSettings()
    merged = TextSettings({**known.attributes, **request.attributes})
    call.records.put(SETTINGS, record_key(call.account, call.region), merged)
    return api.SetSMSAttributesResponse()


@operation(readonly=True)
def get_sms_attributes(call: Call, request: api.GetSMSAttributesInput) -> api.GetSMSAttributesResponse:
    """Return the settings for text messages that have been set: all, or those that are asked for."""
    known = call.reader.find(SETTINGS, record_key(call.account, call.region)) or TextSettings()
    wanted = request.attributes
    shown = {name: value for name, value in known.attributes.items() if not wanted or name in wanted}
    return api.GetSMSAttributesResponse(attributes=shown)


@operation(readonly=True)
def check_if_phone_number_is_opted_out(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.CheckIfPhoneNumberIsOptedOutInput,
) -> api.CheckIfPhoneNumberIsOptedOutResponse:
    """Tell whether a phone number takes no messages, which none can have said here."""
    _check_number(request.phone_number)
    return api.CheckIfPhoneNumberIsOptedOutResponse(is_opted_out=False)


@operation(readonly=True)
def list_phone_numbers_opted_out(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.ListPhoneNumbersOptedOutInput,
) -> api.ListPhoneNumbersOptedOutResponse:
    """List the phone numbers that take no messages, of which there are none."""
    page(list[str](), str, request.next_token)
    return api.ListPhoneNumbersOptedOutResponse(phone_numbers=[])


@operation(readonly=True)
def opt_in_phone_number(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.OptInPhoneNumberInput,
) -> api.OptInPhoneNumberResponse:
    """Let a phone number take messages again; one that always did is no error."""
    _check_number(request.phone_number)
    return api.OptInPhoneNumberResponse()


@operation(readonly=True)
def list_origination_numbers(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.ListOriginationNumbersRequest,
) -> api.ListOriginationNumbersResult:
    """List the numbers that messages can be sent from, of which there are none."""
    _check_page_size(request.max_results, limits.ORIGINATION_NUMBERS_MAX)
    page(list[str](), str, request.next_token)
    return api.ListOriginationNumbersResult(phone_numbers=[])


@operation(readonly=True)
def get_sms_sandbox_account_status(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.GetSMSSandboxAccountStatusInput,  # noqa: ARG001 - likewise
) -> api.GetSMSSandboxAccountStatusResult:
    """Say that the account is in the sandbox, where AWS's accounts begin."""
    return api.GetSMSSandboxAccountStatusResult(is_in_sandbox=True)


@operation
def create_sms_sandbox_phone_number(
    call: Call, request: api.CreateSMSSandboxPhoneNumberInput
) -> api.CreateSMSSandboxPhoneNumberResult:
    """Add a phone number to the sandbox; its one-time password is put into the local outbox."""
    _check_number(request.phone_number)
    password = str(int.from_bytes(call.ids.bytes(4)) % 10**_PASSWORD_DIGITS).zfill(_PASSWORD_DIGITS)
    number = SandboxNumber(request.phone_number, password, call.now)
    call.records.put(SANDBOX_NUMBER, _key(call, request.phone_number), number)
    text = f"{password} is your verification code."
    call.apply(Outbox.append(text_message(call.ids.uuid(), call.now, request.phone_number, text)))
    return api.CreateSMSSandboxPhoneNumberResult()


@operation
def verify_sms_sandbox_phone_number(
    call: Call, request: api.VerifySMSSandboxPhoneNumberInput
) -> api.VerifySMSSandboxPhoneNumberResult:
    """Verify a phone number of the sandbox by its one-time password.

    Raises:
        ResourceNotFoundException: the number is not in the sandbox.
        VerificationException: the password is another.
    """
    key = _key(call, request.phone_number)
    number = _load(call, request.phone_number)
    if request.one_time_password != number.password:
        raise api.VerificationException("The verification code is not valid.")
    call.records.put(SANDBOX_NUMBER, key, replace(number, is_verified=True))
    return api.VerifySMSSandboxPhoneNumberResult()


@operation
def delete_sms_sandbox_phone_number(
    call: Call, request: api.DeleteSMSSandboxPhoneNumberInput
) -> api.DeleteSMSSandboxPhoneNumberResult:
    """Take a phone number out of the sandbox."""
    _load(call, request.phone_number)
    call.records.delete(SANDBOX_NUMBER, _key(call, request.phone_number))
    return api.DeleteSMSSandboxPhoneNumberResult()


@operation(readonly=True)
def list_sms_sandbox_phone_numbers(
    call: Call, request: api.ListSMSSandboxPhoneNumbersInput
) -> api.ListSMSSandboxPhoneNumbersResult:
    """List the phone numbers of the sandbox and whether they are verified."""
    found = [number for _, number in call.reader.list(SANDBOX_NUMBER, key_prefix(call.account, call.region))]
    _check_page_size(request.max_results, limits.PAGE_MAX)
    limit = request.max_results or limits.PAGE_MAX
    shown, next_token = page(found, lambda number: number.number, request.next_token, limit)
    return api.ListSMSSandboxPhoneNumbersResult(
        phone_numbers=[
            api.SMSSandboxPhoneNumber(
                phone_number=number.number, status="Verified" if number.is_verified else "Pending"
            )
            for number in shown
        ],
        next_token=next_token,
    )


def check_phone_number(number: str) -> None:
    """Check a phone number that a message is to be published to.

    Raises:
        InvalidParameter: it is none.
    """
    if not _NUMBER.fullmatch(number):
        raise invalid_parameter(f"PhoneNumber Reason: {number} is not valid to publish to")


def _check_page_size(wanted: int | None, most: int) -> None:
    if wanted is not None and wanted < 1:
        raise broken_constraint("maxResults", wanted, "Member must have value greater than or equal to 1")
    if wanted is not None and wanted > most:
        raise broken_constraint("maxResults", wanted, f"Member must have value less than or equal to {most}")


def _check_number(number: str) -> None:
    if not _NUMBER.fullmatch(number):
        raise invalid_parameter("PhoneNumber Reason: input incorrectly formatted")


def _check_setting(name: str, value: str) -> None:
    checks: Mapping[str, bool] = {
        "DefaultSMSType": value in _TYPES,
        "MonthlySpendLimit": value.isascii() and value.isdigit(),
        "DeliveryStatusSuccessSamplingRate": value.isascii() and value.isdigit() and int(value) <= 100,
    }
    if name not in _SETTINGS or not checks.get(name, True):
        raise invalid_parameter(name)


def _key(call: Call, number: str) -> str:
    return record_key(call.account, call.region, number)


def _load(call: Call, number: str) -> SandboxNumber:
    found = call.reader.find(SANDBOX_NUMBER, _key(call, number))
    if found is None:
        raise api.ResourceNotFoundException("The phone number is not in the SMS sandbox")
    return found
