"""Settings for text messages and the sandbox; AWS's texts are known only where they are asserted in full."""

import json
import re
import urllib.request
from typing import Any

from tests.aws.events.inboxes import refusal
from tests.harness import RunningNode

NUMBER = "+15550100123"


def test_settings_are_kept_and_shown(sns: Any) -> None:
    sns.set_sms_attributes(attributes={"DefaultSMSType": "Transactional", "MonthlySpendLimit": "1"})
    sns.set_sms_attributes(attributes={"DefaultSenderID": "shop"})
    assert sns.get_sms_attributes()["attributes"] == {
        "DefaultSMSType": "Transactional",
        "MonthlySpendLimit": "1",
        "DefaultSenderID": "shop",
    }
    assert sns.get_sms_attributes(attributes=["DefaultSenderID"])["attributes"] == {"DefaultSenderID": "shop"}
    assert refusal(lambda: sns.set_sms_attributes(attributes={"DefaultSMSType": "x"}))[0] == "InvalidParameter"
    assert refusal(lambda: sns.set_sms_attributes(attributes={"Nope": "x"}))[0] == "InvalidParameter"


def test_nobody_has_opted_out(sns: Any) -> None:
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=NUMBER)["isOptedOut"] is False
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == []
    sns.opt_in_phone_number(phoneNumber=NUMBER)
    assert sns.list_origination_numbers()["PhoneNumbers"] == []
    assert refusal(lambda: sns.check_if_phone_number_is_opted_out(phoneNumber="x"))[0] == "InvalidParameter"


def test_sandbox_number_is_verified_by_the_password_in_the_outbox(node: RunningNode, sns: Any) -> None:
    assert sns.get_sms_sandbox_account_status()["IsInSandbox"] is True
    sns.create_sms_sandbox_phone_number(PhoneNumber=NUMBER)
    assert sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"] == [{"PhoneNumber": NUMBER, "Status": "Pending"}]
    with urllib.request.urlopen(f"{node.url}/_forebay/sns/outbox?to=%2B15550100123") as answer:
        (message,) = json.load(answer)["messages"]
    (password,) = re.findall(r"\d{6}", message["text"])
    wrong = {"PhoneNumber": NUMBER, "OneTimePassword": "no"}
    assert refusal(lambda: sns.verify_sms_sandbox_phone_number(**wrong))[0] == "VerificationException"
    sns.verify_sms_sandbox_phone_number(PhoneNumber=NUMBER, OneTimePassword=password)
    assert sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"] == [{"PhoneNumber": NUMBER, "Status": "Verified"}]
    sns.delete_sms_sandbox_phone_number(PhoneNumber=NUMBER)
    assert refusal(lambda: sns.delete_sms_sandbox_phone_number(PhoneNumber=NUMBER))[0] == "ResourceNotFound"


def test_message_to_a_phone_number_is_refused(sns: Any) -> None:
    assert refusal(lambda: sns.publish(PhoneNumber="abc", Message="m")) == (
        "InvalidParameter",
        "Invalid parameter: PhoneNumber Reason: abc is not valid to publish to",
    )
    assert refusal(lambda: sns.publish(PhoneNumber=NUMBER, Message="m"))[0] == "NotImplemented"
