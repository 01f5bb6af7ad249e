"""Runs AWS's own SAM translator. A program of its own: one template in on stdin, the result out on stdout, both JSON.

The node starts it for each SAM template, because the translator brings boto3 and pydantic along: a second of CPU and
fifty megabytes that an idle node must not hold.
"""

import json
import sys
from typing import Any


class BundledPolicies:
    """Gives the translator the ARNs of AWS's managed policies from the list that comes with it, not from IAM."""

    def __init__(self, partition: str) -> None:
        self._partition = partition

    def load(self) -> dict[str, str]:
        """Return the ARN of each managed policy by its name."""
        from samtranslator.internal.managed_policies import get_bundled_managed_policy_map  # noqa: PLC0415

        return get_bundled_managed_policy_map(self._partition) or {}


def main() -> None:
    """Translate the template on stdin; write `{"template": ...}`, or `{"error": text}` where it is not valid."""
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415  it is slow to import
    from samtranslator.translator.transform import transform  # noqa: PLC0415

    request: dict[str, Any] = json.load(sys.stdin)
    policies: Any = BundledPolicies(request["partition"])
    try:
        result: dict[str, Any] = {"template": transform(request["template"], request["parameters"], policies)}
    except InvalidDocumentException as error:
        causes = " ".join(cause.message for cause in error.causes)
        result = {"error": f"{error.message} {causes}"}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
