"""CloudWatch Logs' quotas (user guide, "CloudWatch Logs service quotas"; PutLogEvents in the API reference)."""

BATCH_BYTES_MAX = 1_048_576
EVENT_BYTES_MAX = 1_048_576
EVENT_OVERHEAD_BYTES = 26
BATCH_SPAN_MS = 24 * 3600 * 1000
EVENT_AGE_MS_MAX = 14 * 24 * 3600 * 1000
EVENT_FUTURE_MS_MAX = 2 * 3600 * 1000

PAGE_EVENTS_MAX = 10_000
PAGE_BYTES_MAX = 1_048_576
# A page ends when so many events have been looked at, found or not.
PAGE_SCANNED_MAX = 100_000
PAGE_GROUPS_MAX = 50
PAGE_STREAMS_MAX = 50

SUBSCRIPTION_FILTERS_MAX = 2
# An asynchronous invocation takes 256 KB; what is larger is handed over in parts.
SUBSCRIPTION_BYTES_MAX = 200_000

TAGS_MAX = 50
RESOURCE_POLICIES_MAX = 10

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
