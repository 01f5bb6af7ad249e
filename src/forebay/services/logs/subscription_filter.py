"""A subscription filter: which of a group's events go to a function."""

import msgspec

from forebay.api import logs as api


class SubscriptionFilter(msgspec.Struct, frozen=True):
    """A filter as it is kept, with its group."""

    name: str
    pattern: str
    destination_arn: str
    created_at_ms: int
    role_arn: str | None = None
    distribution: api.Distribution | None = None

    def described(self, group: str) -> api.SubscriptionFilter:
        """Return it in AWS's form."""
        return api.SubscriptionFilter(
            filter_name=self.name,
            log_group_name=group,
            filter_pattern=self.pattern,
            destination_arn=self.destination_arn,
            role_arn=self.role_arn,
            distribution=self.distribution or "ByLogStream",
            apply_on_transformed_logs=False,
            creation_time=self.created_at_ms,
        )
