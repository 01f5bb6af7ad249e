"""What SNS allows, as AWS documents it, and bounds of our own; the unit is part of each name.

Source: the developer guide's "Amazon SNS endpoints and quotas" and "Filter policy constraints", and the API reference.
"""

TOPIC_NAME_CHARACTERS_MAX = 256
TAGS_MAX = 50
TAG_KEY_CHARACTERS_MAX = 128
TAG_VALUE_CHARACTERS_MAX = 256
DATA_PROTECTION_CHARACTERS_MAX = 30_720
PAGE_MAX = 100
ORIGINATION_NUMBERS_MAX = 30
SUBJECT_CHARACTERS_MAX = 100

MESSAGE_BYTES_DEFAULT = 262_144
MESSAGE_BYTES_MIN = 1_024
MESSAGE_BYTES_MAX = 1_048_576
BATCH_ENTRIES_MAX = 10
ATTRIBUTE_NAME_CHARACTERS_MAX = 256

FILTER_POLICY_CHARACTERS_MAX = 262_144
FILTER_KEYS_MAX = 5
FILTER_COMBINATIONS_MAX = 150
FILTER_NUMBER_MAX = 1_000_000_000
FILTER_POLICIES_PER_TOPIC_MAX = 200
FIFO_SUBSCRIPTIONS_MAX = 100
# Above 256 KiB a topic has at most 100 subscriptions, of queues, functions and Firehose only (SetTopicAttributes).
LARGE_SUBSCRIPTIONS_MAX = 100
ARCHIVE_DAYS_MAX = 365

# "For AWS managed endpoints ... 100,015 times over 23 days" ("Amazon SNS message delivery retries").
MANAGED_ATTEMPTS = 100_015
MANAGED_AGE_SECONDS = 23 * 86_400.0
MANAGED_BACKOFF_SECONDS_MAX = 20.0

# "Confirmation tokens are valid for two days" (Subscribe, API reference).
CONFIRMATION_SECONDS = 2 * 86_400
DEDUPLICATION_SECONDS = 300
DEDUPLICATION_BATCH = 500
DEDUPLICATION_LEASE_SECONDS = 60.0
DEDUPLICATION_POLL_SECONDS = 60.0

# A mail server's time for one mail, and the replayer's own bounds: how many replays take a step in one turn, how long a
# step may hold one, and how many messages it takes.
SMTP_SECONDS_MAX = 30.0
SMTP_IN_FLIGHT_MAX = 4
SMTP_BUSY_SECONDS_MAX = 60.0
REPLAYS_PER_STEP = 10
REPLAY_LEASE_SECONDS = 30.0
REPLAY_POLL_SECONDS = 60.0
REPLAY_BATCH = 100

# Above this many subscriptions of a topic, the trace of a message does not say why each did not want it.
EXPLAINED_MAX = 20
EXPLAINED_FIELDS_MAX = 3

# A confirmation is asked for this often before the endpoint is given up.
CONFIRMATION_ATTEMPTS = 3

# "The connection will time out in approximately 15 seconds" ("Make sure your endpoint is ready").
HTTP_SECONDS_MAX = 15.0
HTTP_CONNECTIONS_MAX = 256
# Ours: how many messages one endpoint has at once, and how long one waits at most because it has so many.
HTTP_IN_FLIGHT_MAX = 64
HTTP_BUSY_SECONDS_MAX = 60.0
