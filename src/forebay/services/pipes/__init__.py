"""EventBridge Pipes: from a queue or stream through filters, an enrichment and a template to a target.

Reading order: `pipe` (what is kept, and what may be in one), `input_template` (the templates' language), `pipes`,
`source_parameters` and `tags` (operations), `workers` (from a desired state to the current one), `running` (a poller
for each pipe that runs), `batches` (what becomes of a batch), `asking` (functions, workflows and HTTP endpoints that
are waited for), `pipe_log`.

Left out, and answered with an error that says so: sources, targets and log destinations whose service this node has
not. Kept and shown, but without effect: roles (IAM is not enforced) and KMS keys.
"""

from forebay.api import pipes as api
from forebay.core.arn import Arn
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.pipes import pipes, tags
from forebay.services.pipes.running import running_pipes
from forebay.services.pipes.workers import KIND, Transitions


async def _build(platform: Platform) -> Parts:
    await running_pipes(platform).open()

    async def find_source(arn: Arn) -> object | None:
        return await platform.open_source(arn) or await platform.open_stream(arn)

    transitions = Transitions(platform.store, platform.clock, find_source)
    return Parts(duties=[Duty(transitions, [("timers", KIND)])])


SERVICE = Service(name="pipes", model=api.MODEL, operations=[pipes, tags], build=_build)
