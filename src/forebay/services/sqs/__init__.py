"""SQS: standard and FIFO queues.

Reading order: `queue`, `message` and `fifo` (what is kept, and the rules), `queues`, `messages` and `batches`
(operations), `waiting` (long polling), `receiving` and `sending` (what operations, pollers and deliveries share),
`target` and `source` (queues as ends of deliveries and pollers), `workers`, `retention` and `measures`. `move_task`,
`move_tasks` and `mover` are one thing; `tenants` is for fair queues; `tags`, `permissions` and `controls` stand apart.

Kept and shown, but without effect: policies, KMS keys. The order of FIFO and of fair queues is the store's
(`store/commands.py`).
"""

from forebay.api import sqs as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.sqs import batches, messages, move_tasks, permissions, queues, tags
from forebay.services.sqs.controls import QueueControls
from forebay.services.sqs.gauge import Gauges
from forebay.services.sqs.measures import QueueMeasures
from forebay.services.sqs.move_task import TIMER
from forebay.services.sqs.mover import MessageMover
from forebay.services.sqs.retention import RETENTION_TIMER, RetentionChange
from forebay.services.sqs.source import QueueSources
from forebay.services.sqs.target import QueueTarget
from forebay.services.sqs.throttle import FifoLimits
from forebay.services.sqs.waiting import WaitingRoom
from forebay.services.sqs.workers import MessageExpiry, QueueJanitor


async def _build(platform: Platform) -> Parts:
    store, clock, ids = platform.store, platform.clock, platform.ids
    waiting_room = WaitingRoom(store, clock)
    measures = QueueMeasures(store, clock)
    controls = QueueControls(store, clock, ids)
    return Parts(
        target=QueueTarget(store, clock, measures),
        sources=QueueSources(store, clock, waiting_room, measures),
        duties=[
            Duty(MessageExpiry(store, clock)),
            Duty(QueueJanitor(store, clock)),
            Duty(MessageMover(store, clock, ids), [("timers", TIMER)]),
            Duty(RetentionChange(store, clock), [("timers", RETENTION_TIMER)]),
            Duty(measures),
        ],
        shared=[
            waiting_room,
            measures,
            Gauges(store, clock),
            FifoLimits(clock, is_enforced=platform.config.sqs_fifo_limits),
        ],
        controls={"peek": controls.peek, "redrive": controls.redrive, "move": controls.move},
        drain=[waiting_room.drain],
        close=[measures.flush],
    )


SERVICE = Service(
    name="sqs", model=api.MODEL, operations=[queues, messages, batches, move_tasks, tags, permissions], build=_build
)
