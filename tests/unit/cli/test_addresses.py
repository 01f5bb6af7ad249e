import pytest

from forebay.cli.addresses import local_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ab12.execute-api.eu-west-1.amazonaws.com/dev/x?y=1", "URL/_aws/execute-api/ab12/dev/x?y=1"),
        ("https://ab12.execute-api.us-east-1.amazonaws.com", "URL/_aws/execute-api/ab12"),
        ("https://ab12.execute-api.cn-north-1.amazonaws.com.cn/", "URL/_aws/execute-api/ab12/"),
        ("https://ab12.lambda-url.us-east-1.on.aws/", "URL/_aws/lambda-url/ab12/"),
        ("curl https://ab12.execute-api.us-east-1.amazonaws.com/a now", "curl URL/_aws/execute-api/ab12/a now"),
        ("https://ab12.execute-api.us-east-1.amazonaws.com.evil.example/", None),
        ("https://sqs.us-east-1.amazonaws.com/1/q", None),
        ("arn:aws:execute-api:us-east-1:1:ab12", None),
    ],
)
def test_addresses_on_aws_lead_to_the_node(text: str, expected: str | None) -> None:
    assert local_address(text, "URL") == (text if expected is None else expected)
