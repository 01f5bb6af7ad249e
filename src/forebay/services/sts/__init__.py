"""STS: who a caller is, and temporary credentials.

Read `identities.py` (who a key belongs to), then `sessions.py` (credentials for roles, sessions, federated users and
web identities), `session.py` (their rules) and `workers.py` (removes expired keys).

Left out: evaluation of trust and session policies (policies are stored, not enforced, so whoever may call a node may
assume every role that exists on it), MFA, SAML, AssumeRoot, DecodeAuthorizationMessage.
"""

from forebay.api import sts as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.sts import identities, sessions
from forebay.services.sts.workers import EXPIRY, SessionExpiry


async def _build(platform: Platform) -> Parts:
    worker = SessionExpiry(platform.store, platform.clock)
    return Parts(duties=(Duty(worker, (("timers", EXPIRY),)),))


SERVICE = Service(name="sts", model=api.MODEL, operations=(identities, sessions), build=_build)
