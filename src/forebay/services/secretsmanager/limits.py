"""Secrets Manager's limits (user guide, "Secrets Manager quotas"; DeleteSecret in the API reference)."""

RECOVERY_DAYS_MIN = 7
RECOVERY_DAYS_MAX = 30
RECOVERY_DAYS_DEFAULT = 30
# "Secrets Manager removes versions without staging labels when there are more than 100" (user guide, "Versions").
VERSIONS_MAX = 100
STAGES_MAX = 20
TAGS_MAX = 50
PAGE_DEFAULT = 100
PAGE_BATCH_DEFAULT = 20
PASSWORD_CHARACTERS_DEFAULT = 32
