"""Secrets Manager: secrets, their versions and staging labels.

Reading order: `secret.py` (the domain), `versioning.py` (adding versions, ending secrets), `filter.py`, `password.py`
(pure), then the operations: `secrets.py`, `values.py`, `resource_policies.py`. `workers.py` ends secrets whose recovery
window has passed, `limits.py` has the quotas.

Values are kept as they come, not encrypted, whatever key is named: whoever can read the data folder can read them.
Resource policies are stored, not enforced. Left out: rotation, replication, validation of policies.
"""

from forebay.api import secretsmanager as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.secretsmanager import resource_policies, secrets, values
from forebay.services.secretsmanager.secret import DELETION
from forebay.services.secretsmanager.workers import SecretDeletion


async def _build(platform: Platform) -> Parts:
    worker = SecretDeletion(platform.store, platform.clock)
    return Parts(duties=(Duty(worker, (("timers", DELETION),)),))


SERVICE = Service(name="secretsmanager", model=api.MODEL, operations=(secrets, values, resource_policies), build=_build)
