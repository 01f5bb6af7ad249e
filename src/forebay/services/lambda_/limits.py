"""Quotas of Lambda, as its developer guide lists them, and the bounds of our own parts; unit in every name."""

NAME_CHARACTERS_MAX = 64
TIMEOUT_SECONDS_MAX = 900
MEMORY_MB_MAX = 10_240
ENVIRONMENT_BYTES_MAX = 4096
LAYERS_MAX = 5
TAGS_MAX = 50
PAGE_MAX = 50
# Full configurations are large, so their pages are shorter (GetFunction, List*: "Lambda returns up to 50 items").
MAPPINGS_PAGE_MAX = 100

ZIP_BYTES_MAX = 50 * 1024 * 1024
# What a request that carries a zip of that size has in base64, with the rest of it.
ZIP_REQUEST_BYTES_MAX = 69_905_067
UNZIPPED_BYTES_MAX = 262_144_000
CODE_STORAGE_BYTES_MAX = 80_530_636_800
ZIP_ENTRIES_MAX = 200_000

SYNC_PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
ASYNC_PAYLOAD_BYTES_MAX = 1024 * 1024
CLIENT_CONTEXT_BYTES_MAX = 3583

CONCURRENCY_MAX = 1000
# AWS keeps this much of an account's concurrency for functions that reserve none.
UNRESERVED_CONCURRENCY_MIN = 100
# How long an invocation waits for a free instance of this node before it is throttled.
ADMISSION_SECONDS = 10.0
ADMISSION_LOOK_SECONDS = 0.2

ASYNC_RETRIES = 2
ASYNC_AGE_SECONDS = 21_600
# Function errors: "one minute between the first two attempts, and two minutes between the second and third attempts".
ASYNC_PAUSES_SECONDS = (60.0, 120.0)
# Throttles and system errors: "from 1 second after the first attempt to a maximum of 5 minutes".
THROTTLE_PAUSE_SECONDS_MIN = 1.0
THROTTLE_PAUSE_SECONDS_MAX = 300.0
DEAD_LETTER_MESSAGE_CHARACTERS_MAX = 1024

CODE_LINK_SECONDS = 600

MAPPING_BATCH = 10
MAPPING_WINDOWLESS_BATCH_MAX = 10
MAPPING_BATCH_MAX = 10_000
MAPPING_STREAM_BATCH = 100
MAPPING_AGE_SECONDS_MIN = 60
MAPPING_FILTERS_MAX = 5
MAPPING_CONCURRENCY_MAX = 1250
POLICY_BYTES_MAX = 20_480

# Log lines that wait for their way to the log service; more are dropped, counted and told.
LOG_LINES_MAX = 50_000
LOG_BATCH_LINES_MAX = 1_000
LOG_BATCH_BYTES_MAX = 512 * 1024
LOG_PAUSE_SECONDS = 0.1
TAIL_LINES_MAX = 5_000
TAIL_PAGE_LINES_MAX = 1_000
TAIL_WAIT_SECONDS_MAX = 30.0
