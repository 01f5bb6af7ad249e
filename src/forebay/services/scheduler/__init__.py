"""EventBridge Scheduler: schedules and their groups.

Reading order: `group` and `schedule` (what is kept, and when a schedule is due), `schedule_target` (what it may send
to), `firing` (what is sent, and the timer that says when), `schedules`, `groups` and `tags` (operations), `workers`
(firing what is due), `target` (operations of the node as universal targets), `sender` (dead letters).

Left out, and answered with an error that says so: targets whose service this node has not. Kept and shown, but without
effect: roles (IAM is not enforced) and KMS keys.
"""

from forebay.api import scheduler as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.scheduler import groups, schedules, tags
from forebay.services.scheduler.firing import KIND
from forebay.services.scheduler.sender import ScheduleSender
from forebay.services.scheduler.target import UniversalTarget
from forebay.services.scheduler.workers import DELETE_KIND, Firings, GroupDeletion


async def _build(platform: Platform) -> Parts:
    store, clock, ids = platform.store, platform.clock, platform.ids
    firings = Firings(store, clock, ids, platform.deliveries, platform.trace)
    return Parts(
        target=UniversalTarget(platform),
        sender=ScheduleSender(clock, ids),
        duties=[Duty(firings, [("timers", KIND)]), Duty(GroupDeletion(store, clock), [("timers", DELETE_KIND)])],
    )


SERVICE = Service(name="scheduler", model=api.MODEL, operations=[schedules, groups, tags], build=_build)
