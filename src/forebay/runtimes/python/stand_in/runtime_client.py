"""The Runtime API calls of awslambdaric in pure Python, for interpreters its compiled part was not built for.

awslambdaric imports a C extension named `runtime_client`; where that cannot be loaded, this module bears its name
and offers the same four functions over one kept-alive connection.
"""

import http.client
import os

_PREFIX = "/2018-06-01/runtime/invocation/"
_state = {"user_agent": "", "connection": None}


def initialize_client(user_agent):
    """Keep the user agent for all requests."""
    _state["user_agent"] = user_agent


def next():  # noqa: A001 - the name of the function it stands for
    """Wait for an event; return its body and its headers."""
    response, body = _request("GET", _PREFIX + "next", None, {})
    if response.status != 200:
        raise RuntimeError("Failed to get next: HTTP status %d" % response.status)
    return body, dict(response.getheaders())


def post_invocation_result(request_id, payload, content_type, invocation_id=None):
    """Post what a handler returned."""
    _post(_PREFIX + request_id + "/response", payload, {"Content-Type": content_type}, invocation_id)


def post_error(request_id, error_document, xray_cause, invocation_id=None):
    """Post what a handler raised."""
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Function-Error-Type": "Unhandled",
        "Lambda-Runtime-Function-XRay-Error-Cause": xray_cause.replace("\r", " ").replace("\n", " "),
    }
    _post(_PREFIX + request_id + "/error", error_document.encode("utf-8"), headers, invocation_id)


def _post(path, payload, headers, invocation_id):
    if invocation_id:
        headers["Lambda-Runtime-Invocation-Id"] = invocation_id
    response, _ = _request("POST", path, payload, headers)
    if response.status != 202:
        raise RuntimeError("Failed to post to %s. Http response code: %d." % (path, response.status))


def _request(method, path, payload, headers):
    connection = _state["connection"]
    if connection is None:
        connection = _state["connection"] = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, path, payload, {"User-Agent": _state["user_agent"], **headers})
    response = connection.getresponse()
    return response, response.read()
