"""S3: buckets, objects, versions and multipart uploads, as far as deployments and functions need them.

Reading order: `bucket.py`, `object.py`, `upload.py` (the domain), `placement.py` (where versions stand and what writing
and deleting does), `content.py` (bytes), `condition.py`, `checksum.py` with `crc.py`, `listing.py` (pure rules), then
the operations: `buckets.py`, `bucket_settings.py`, `bucket_absences.py`, `objects.py`, `copies.py`, `object_tags.py`,
`listings.py`, `uploads.py`. `answer.py` writes what reads say, `workers.py` deletes bytes nobody needs, `limits.py` has
the quotas.

Left out, each refused by name: lifecycle rules, notifications, CORS, websites, replication, Object Lock, archive
classes, ACLs, SSE-C, Select, XXHash checksums. Bucket policies, public access blocks and encryption settings are stored
and returned; nothing is enforced and bytes are kept as they come.
"""

from forebay.api import s3 as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.s3 import (
    bucket_absences,
    bucket_settings,
    buckets,
    copies,
    listings,
    object_tags,
    objects,
    uploads,
)
from forebay.services.s3.placement import GARBAGE
from forebay.services.s3.workers import GarbageCollector


async def _build(platform: Platform) -> Parts:
    worker = GarbageCollector(platform.store, platform.clock)
    return Parts(duties=(Duty(worker, (("timers", GARBAGE),)),))


SERVICE = Service(
    name="s3",
    model=api.MODEL,
    operations=(
        buckets,
        bucket_settings,
        bucket_absences,
        objects,
        copies,
        object_tags,
        listings,
        uploads,
    ),
    build=_build,
)
