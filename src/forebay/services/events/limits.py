"""What EventBridge allows, as AWS documents it, and bounds of our own; the unit is part of each name.

Source: the user guide's quotas, and the API reference.
"""

BUSES_MAX = 100
TARGETS_PER_RULE_MAX = 5
ENTRIES_PER_REQUEST_MAX = 10
TARGETS_PER_REQUEST_MAX = 10
# "The total entry size must be less than 1MB" (PutEvents).
ENTRIES_BYTES_MAX = 1_048_576
TIME_BYTES = 14
DETAIL_TYPE_CHARACTERS_MAX = 128
POLICY_BYTES_MAX = 10_240
TAGS_MAX = 50
PAGE_MAX = 100

RETRY_ATTEMPTS = 185
EVENT_AGE_SECONDS = 86_400

DAY_MS = 86_400_000
# "You can have a maximum of ten active concurrent replays per account per AWS Region" (user guide, replaying events).
REPLAYS_MAX = 10

# "If you do not specify a value ... the default of 300" requests a second; "a maximum client execution timeout of 5
# seconds" (user guide, API destinations).
INVOCATION_RATE = 300
INVOCATION_SECONDS_MAX = 5.0
# Our own bounds: what is read of an answer, and how many requests to one destination run at once.
ANSWER_BYTES_MAX = 65_536
INVOCATIONS_IN_FLIGHT_MAX = 64
# How long a delivery waits at most because all of these are taken; by then the server may be fast again.
BUSY_SECONDS_MAX = 60.0

# Above this many rules on a bus, the trace of an event does not say why each of the others did not match.
EXPLAINED_RULES_MAX = 20
# Differences that are named for one rule.
EXPLAINED_FIELDS_MAX = 3

# The authorizer's own: how many connections one step takes, and how long it holds them.
AUTHORIZE_BATCH = 10
AUTHORIZE_LEASE_SECONDS = 60.0

# The scheduler's own: how many due schedules one step takes, and how long it holds them.
SCHEDULE_BATCH = 100
SCHEDULE_LEASE_SECONDS = 60.0
SCHEDULE_POLL_SECONDS = 60.0

# The replayer's own: how many replays take a step in one turn and how long a step may hold one; how many events a step
# puts on the bus, and how many bytes of them (one more event than fits may come where they grow).
REPLAYS_PER_STEP = 10
REPLAY_LEASE_SECONDS = 30.0
REPLAY_POLL_SECONDS = 60.0
REPLAY_BATCH = 256
REPLAY_BATCH_BYTES = 4_194_304
