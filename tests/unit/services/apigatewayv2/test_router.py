"""Which route answers, and what route keys are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.services.apigatewayv2.route_key import InvalidRouteKey, parse_route_key
from forebay.services.apigatewayv2.router import Router

# The routes of the example in AWS's developer guide, and some that compete with them.
ROUTES = [
    "GET /pets/dog/1",
    "GET /pets/dog/{id}",
    "ANY /pets/dog/{id}",
    "GET /pets/{proxy+}",
    "ANY /{proxy+}",
    "ANY /pets/cat",
    "POST /pets/cat",
    "GET /",
    "$default",
]


def router(routes=ROUTES):
    return Router([(parse_route_key(text), text) for text in routes])


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("POST", "/pets/dog/1", "ANY /pets/dog/{id}", {"id": "1"}),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
        ("POST", "/test/5", "ANY /{proxy+}", {"proxy": "test/5"}),
        ("GET", "/pets/cat", "ANY /pets/cat", {}),
        ("POST", "/pets/cat", "POST /pets/cat", {}),
        ("GET", "/", "GET /", {}),
        ("POST", "/", "$default", {}),
        ("GET", "/pets/dog/2/", "GET /pets/{proxy+}", {"proxy": "dog/2/"}),
    ],
)
def test_more_specific_route_wins(method, path, route, parameters):
    match = router().find(method, path)
    assert (match.route, match.parameters) == (route, parameters)


@pytest.mark.parametrize("order", [ROUTES, ROUTES[::-1]])
def test_order_of_creation_does_not_matter(order):
    assert router(order).find("GET", "/pets/dog/2").route == "GET /pets/dog/{id}"


def test_nothing_answers_without_default():
    found = router(["GET /a/{b}", "POST /a"])
    assert found.find("GET", "/a") is None
    assert found.find("GET", "/a/") is None
    assert found.find("GET", "/a/b/c") is None
    assert found.find("POST", "/a/b") is None


def test_greedy_parameter_needs_something():
    assert router(["GET /a/{rest+}"]).find("GET", "/a/") is None
    assert router(["GET /a/{rest+}"]).find("GET", "/a") is None


def test_longer_way_to_greedy_wins():
    found = router(["ANY /{a+}", "ANY /x/{b+}", "ANY /x/y/{c+}"])
    assert found.find("GET", "/x/y/z").route == "ANY /x/y/{c+}"
    assert found.find("GET", "/x/z").route == "ANY /x/{b+}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET",
        "GET pets",
        "get /pets",
        "FETCH /pets",
        "GET /{a+}/b",
        "GET /{a}/{a}",
        "GET /{}",
        "GET /a{b}",
        "default",
    ],
)
def test_other_texts_are_no_route_keys(text):
    with pytest.raises(InvalidRouteKey):
        parse_route_key(text)


@given(st.lists(st.sampled_from(["a", "b", "{p}", "{q}"]), min_size=1, max_size=4), st.data())
def test_path_built_from_a_key_leads_to_it(segments, data):
    names = [part for part in segments if part.startswith("{")]
    if len(set(names)) != len(names):
        return
    values = {name[1:-1]: data.draw(st.text("xyz", min_size=1, max_size=3)) for name in names}
    path = "/" + "/".join(values[part[1:-1]] if part.startswith("{") else part for part in segments)
    match = router([f"GET /{'/'.join(segments)}", "$default"]).find("GET", path)
    assert match.route != "$default"
    assert match.parameters == values
