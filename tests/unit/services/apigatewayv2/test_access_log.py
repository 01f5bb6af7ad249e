"""Lines of access logs, and how they wait to be written."""

from forebay.api import apigatewayv2 as api
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.access_log import AccessLog, compile_format
from forebay.services.apigatewayv2.refusal import Refusal
from tests.unit.services.apigatewayv2.stage import answer, exchange

ARN = "arn:aws:logs:us-east-1:000000000000:log-group:g:*"


def line(text, made=None, response=None):
    compiled = compile_format(api.AccessLogSettings(destination_arn=ARN, format=text))
    return compiled.line(made or exchange("GET", "/a"), response or answer(200, b"four"), 12)


def test_line_is_filled_in():
    got = line(
        "$context.requestId [$context.requestTime] $context.httpMethod $context.routeKey $context.status "
        "$context.responseLength $context.responseLatency $context.error.message $context.nothing."
    )
    assert got.text == "R3qu35tId000000= [04/Mar/2020:19:03:58 +0000] GET GET /a 200 4 12 - -."
    assert got.group_arn == ARN.removesuffix(":*")
    assert got.at_ms == 1_583_348_638_390


def test_line_tells_why_a_request_was_refused():
    made = exchange("GET", "/a")
    made.error = Refusal(429)
    text = "$context.error.message $context.error.messageString $context.error.responseType"
    assert line(text, made).text == 'Too Many Requests "Too Many Requests" TOO_MANY_REQUESTS'


def test_authorizer_context_is_shown():
    made = exchange("GET", "/a")
    made.authorizer = {"principalId": "me", "n": 1, "flag": True}
    assert line("$context.authorizer.principalId $context.authorizer.n $context.authorizer.flag", made).text == (
        "me 1 true"
    )


def test_stage_without_settings_has_no_log():
    assert compile_format(None) is None
    assert compile_format(api.AccessLogSettings()) is None


class Wakened:
    """Stands for the platform and the duty: counts wake-ups."""

    def __init__(self):
        self.wakes = 0

    def start_worker(self, _worker):
        return self

    def wake(self):
        self.wakes += 1


def test_lines_past_the_bound_are_dropped():
    platform = Wakened()
    log = AccessLog(platform)
    one = line("x")
    for _ in range(limits.LOG_LINES_MAX + 5):
        log.add(one)
    assert platform.wakes == limits.LOG_LINES_MAX
