"""Quotas of HTTP APIs, with their units (developer guide, "Quotas for configuring and running an HTTP API")."""

API_ID_CHARACTERS = 10
CHILD_ID_CHARACTERS = 7
DEPLOYMENT_ID_CHARACTERS = 6
NAME_CHARACTERS_MAX = 128

PAGE_ITEMS_MAX = 500

TIMEOUT_MS_MIN = 50
TIMEOUT_MS_MAX = 30_000

PAYLOAD_BYTES_MAX = 10 * 1024 * 1024
# Of a body that a selection looks into, only so much is read ("Transform API requests and responses").
SELECTED_BODY_BYTES_MAX = 100 * 1024

AUTHORIZER_TTL_SECONDS_MAX = 3_600
AUTHORIZER_CACHE_ENTRIES_MAX = 10_000
AUTHORIZER_TIMEOUT_SECONDS = 10.0

AUDIENCES_MAX = 50
SCOPES_PER_ROUTE_MAX = 10
# "API Gateway can cache the public key for two hours" and waits so long for an issuer.
JWT_KEY_SECONDS = 7_200
JWT_NEW_KEY_SECONDS = 60
JWT_ISSUER_TIMEOUT_SECONDS = 1.5

# Access log lines that wait for the log service; past it they are dropped, counted and reported.
LOG_LINES_MAX = 10_000
LOG_BATCH_LINES = 1_000
