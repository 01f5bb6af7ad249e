"""CloudFormation with SAM: stacks of resources that come, change and go together.

Reading order: `template/` (the language, pure), `preparation.py` (from a request to a checked `Revision`; macros:
`sam.py`), `stack.py` (domain), `launch.py` (an operation's begin), `workers.py` and `engine.py` (drive it to its end),
`plan.py` and `resource_steps.py` (one resource), `resources/` (how each type is made). Operations: `stacks.py`,
`change_sets.py`, `templates.py`, `stack_resources.py`, `exports.py`, `stack_policies.py`.

A deployment is records and a timer, not a task: each step's intent and outcome are committed, so whichever node claims
the timer goes on where the last one was interrupted.

Left out: drift, stack sets, imports of existing resources, macros of one's own, modules, signals,
and what resource types of other services need; each answers with an error that names it. Stack policies, `RoleARN` and
`NotificationARNs` are kept without effect.
"""

from forebay.api import cloudformation as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.cloudformation import (
    change_sets,
    exports,
    stack_policies,
    stack_resources,
    stacks,
    templates,
)
from forebay.services.cloudformation.workers import DEPLOY, Deployer


async def build(platform: Platform) -> Parts:
    """Build the deployer, which is woken when a deployment begins."""
    return Parts(duties=[Duty(Deployer(platform), [("timers", DEPLOY)])])


SERVICE = Service(
    name="cloudformation",
    model=api.MODEL,
    operations=(change_sets, exports, stack_policies, stack_resources, stacks, templates),
    build=build,
)
