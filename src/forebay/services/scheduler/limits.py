"""Bounds of Scheduler: AWS's quotas, and our own where AWS is silent."""

# AWS: pages and defaults (API reference; user guide, "Managing a schedule").
PAGE_MAX = 100
RETRY_ATTEMPTS = 185
EVENT_AGE_SECONDS = 86_400
START_DATE_AGE_SECONDS_MAX = 300

# "All schedule types invoke their targets with 60 second precision" ("Schedule types"): so late is still on time.
PRECISION_SECONDS = 60.0

# Ours: schedules fired in one step, how long a step may take before others repeat it, and how often a look is taken.
FIRE_BATCH = 100
LEASE_SECONDS = 60.0
POLL_SECONDS = 5.0
# Schedules of a deleted group that go in one transaction.
DELETE_BATCH = 500
# Schedules read at once while a page is filtered.
SCAN_BATCH = 500
