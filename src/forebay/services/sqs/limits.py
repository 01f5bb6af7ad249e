"""What SQS allows, as AWS documents it; the unit is part of each name.

Source: the developer guide's quotas for messages and for standard queues, and the API reference.
"""

NAME_CHARACTERS_MAX = 80

MESSAGE_BYTES_MAX = 1_048_576
BATCH_BYTES_MAX = 1_048_576
BATCH_ENTRIES_MAX = 10
BATCH_ENTRY_ID_CHARACTERS_MAX = 80
RECEIVE_MESSAGES_MAX = 10

MESSAGE_ATTRIBUTES_MAX = 10
ATTRIBUTE_NAME_BYTES_MAX = 256
GROUP_CHARACTERS_MAX = 128

DELAY_SECONDS_MAX = 900
VISIBILITY_SECONDS_MAX = 43_200
WAIT_SECONDS_MAX = 20
RETENTION_SECONDS_MAX = 1_209_600
RECEIVES_MAX = 1_000

IN_FLIGHT_MAX = 120_000

# How long a FIFO queue remembers deduplication ids and receive attempts.
DEDUPLICATION_SECONDS = 300

FIFO_CALLS_PER_SECOND = 300

# After a deletion the name is taken, and after a purge another purge refused, for so long.
DELETED_NAME_SECONDS = 60
PURGE_SECONDS = 60

LIST_RESULTS_MAX = 1_000
TAGS_MAX = 50
TAG_KEY_CHARACTERS_MAX = 128
TAG_VALUE_CHARACTERS_MAX = 256
PERMISSION_ACTIONS_MAX = 7
REDRIVE_SOURCES_MAX = 10
MOVED_PER_SECOND_MAX = 500
# Tasks of one source that are listed, and so kept.
MOVE_TASKS_MAX = 10

# --- ours ---

# How often the first in line looks at its queue without having been called, in case a wake-up was lost.
LOOK_SECONDS = 5.0
# Receivers that may wait at one queue; a further one is answered at once, with nothing.
WAITERS_MAX = 10_000
EXPIRE_BATCH = 1_000
EXPIRE_SECONDS = 10.0
JANITOR_BATCH = 1_000
JANITOR_SECONDS = 3600.0
# Messages that one step of a move task moves, and that it looks at to find them.
MOVE_BATCH = 100
MOVE_LOOK_MAX = 1_000
# Messages whose end one step of a changed retention moves.
RETENTION_BATCH = 2_000
