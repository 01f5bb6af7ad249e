"""Amazon Resource Names, parsed once at the edge and then passed as values."""

from typing import Self

import msgspec


class Arn(msgspec.Struct, frozen=True):
    """`arn:partition:service:region:account:resource`, taken apart."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def of(cls, service: str, region: str, account: str, resource: str) -> Self:
        """Make an ARN in the partition of its region."""
        return cls(partition_of(region), service, region, account, resource)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take an ARN apart.

        Raises:
            ValueError: `text` is not an ARN; callers answer with their service's own error.
        """
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
            raise ValueError(f"not an ARN: {text}")
        return cls(parts[1], parts[2], parts[3], parts[4], parts[5])

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def partition_of(region: str) -> str:
    """Return the partition a region belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
