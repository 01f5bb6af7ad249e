"""Requests that nobody sensible sends: they are answered, and never with a 5xx of ours."""

import http.client
import urllib.request
from urllib.parse import quote, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.aws.apigatewayv2.conftest import Apis

HEADER = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
PATH = st.lists(
    st.binary(max_size=6).map(quote) | st.sampled_from(["", "a", "%", "%2", "%zz", "..", "$default", "{p}"])
)
QUERY = st.text(st.sampled_from("abc=&%+;?1"), max_size=20)


def test_no_request_breaks_an_api(apis: Apis):
    queue = apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    api_id = apis.api(CorsConfiguration={"AllowOrigins": ["https://*"], "AllowMethods": ["*"]})
    apis.service(
        api_id,
        "ANY /{p+}",
        "SQS-SendMessage",
        QueueUrl=queue,
        MessageBody="${request.path.p}${request.querystring.a}${request.header.x-any}${request.body.a}.",
        MessageGroupId="$context.requestId",
    )
    apis.service(api_id, "$default", "SQS-SendMessage", QueueUrl=queue, MessageBody="$request.body")
    apis.service(
        api_id, "POST /a", "EventBridge-PutEvents", Detail="$request.body", DetailType="t", Source="$request.path"
    )
    place = urlsplit(apis.node.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["GET", "POST", "OPTIONS", "BREW"]), PATH, QUERY, HEADER, st.binary(max_size=50) | st.none())
    def ask(method, path, query, header, body):
        target = f"/_aws/execute-api/{api_id}/{'/'.join(path)}?{query}"
        sent = {"X-Any": header, "Origin": header, "Cookie": header, "Content-Type": header, "Forwarded": header}
        connection.request(method, target, body, {name: value.encode("latin-1") for name, value in sent.items()})
        answer = connection.getresponse()
        answer.read()
        assert answer.status < 500, (method, target)

    ask()
    connection.close()


def test_reset_takes_the_apis_away(apis: Apis):
    queue = apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    api_id = apis.api()
    apis.service(api_id, "POST /a", "SQS-SendMessage", QueueUrl=queue, MessageBody="x")
    apis.client.create_api_mapping(DomainName="d.example.com", ApiId=api_id, Stage="$default")
    assert apis.ask("POST", api_id, "/a").status == 200
    request = urllib.request.Request(apis.node.url + "/_forebay/reset", method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    assert apis.ask("POST", api_id, "/a").status == 404
    assert apis.node.run(_hosts) == {}


async def _hosts(node) -> dict[str, str]:
    return node.platform.hosts
