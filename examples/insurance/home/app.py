"""Looks into claims on home insurance: the policy and the damage, each when the state machine asks for it."""

from pathlib import Path
from tempfile import gettempdir


class RegisterIsBusy(Exception):
    """The register of policies does not answer now; the state machine tries again."""


def handler(event, context):
    if event["check"] == "policy":
        return check_policy(event["claim"])
    return {"estimate": round(event["amount"] * 0.9, 2)}


def check_policy(claim):
    # The register is slow to wake: the first question about a claim finds it busy.
    asked = Path(gettempdir()) / f"asked-{claim}"
    if not asked.exists():
        asked.touch()
        raise RegisterIsBusy(f"The register of policies is busy; ask again about {claim}.")
    asked.unlink()
    print(f"home claim {claim}: the policy covers it")
    return {"covered": True}
