"""Where the addresses lead that a template composes by itself.

Templates write `https://${Api}.execute-api.${AWS::Region}.amazonaws.com` instead of asking for the API's endpoint. The
stack keeps what they wrote; people are shown where the same API, or function URL, answers here.
"""

import re

_ADDRESS = re.compile(
    r"(?:https?|wss?)://(?P<id>[a-z0-9]+)\."
    r"(?:(?P<api>execute-api)\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?|(?P<url>lambda-url)\.[a-z0-9-]+\.on\.aws)"
    r"(?=[/?]|$)"
)


def local_address(text: str, endpoint: str) -> str:
    """Return a text with every address of an API or a function URL on AWS led to the node at `endpoint`."""
    return _ADDRESS.sub(lambda match: f"{endpoint}/_aws/{match['api'] or match['url']}/{match['id']}", text)
