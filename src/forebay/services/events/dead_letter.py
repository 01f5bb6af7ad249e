"""What may be the dead-letter queue of a bus or of a target: a standard queue."""

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.services.events.errors import malformed_arn, validation_error


def check_dead_letter(config: api.DeadLetterConfig | None, where: str = "") -> None:
    """Check the ARN of a dead-letter queue; `where` ends the refusal, whose words are ours.

    Raises:
        ValidationException: it is not that of a standard queue.
    """
    if config is None or not config.arn:
        return
    try:
        arn = Arn.parse(config.arn)
    except ValueError:
        raise malformed_arn(config.arn) from None
    if arn.service != "sqs" or arn.resource.endswith(".fifo"):
        text = "Parameter DeadLetterConfig is not valid. Reason: The ARN of a standard Amazon SQS queue is expected"
        raise validation_error(f"{text}{where}.")
