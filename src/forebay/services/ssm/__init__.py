"""SSM: Parameter Store.

Reading order: `parameter.py` (the domain), `filter.py` (pure), then the operations: `parameters.py`, `labels.py`,
`tags.py`. `limits.py` has the quotas.

Values of SecureString parameters are kept as they come, not encrypted: whoever can read the data folder can read them.
They are shown only with `WithDecryption`; without it an opaque text stands for them, as AWS's ciphertext does.

Left out: everything of Systems Manager but parameters, parameter policies, data types other than text, AWS's public
parameters, sharing.
"""

from forebay.api import ssm as api
from forebay.operations.service import Service
from forebay.services.ssm import labels, parameters, tags

SERVICE = Service(name="ssm", model=api.MODEL, operations=(parameters, labels, tags))
