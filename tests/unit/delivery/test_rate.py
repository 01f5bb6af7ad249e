"""Places for each of several resources."""

from forebay.delivery.rate import Places


def test_place_is_for_one_resource_and_is_given_back():
    places = Places(most=2, seconds_each=10.0, wait_seconds_max=60.0)
    assert [places.take("slow", 0.0) for _ in range(2)] == [0.0, 0.0]
    assert places.take("slow", 0.0) == 5.0
    assert places.take("other", 0.0) == 0.0
    places.leave("slow")
    assert places.take("slow", 1.0) == 0.0


def test_those_who_wait_come_back_one_after_another_and_not_too_late():
    places = Places(most=1, seconds_each=10.0, wait_seconds_max=25.0)
    assert places.take("slow", 0.0) == 0.0
    assert [places.take("slow", 0.0) for _ in range(4)] == [10.0, 20.0, 25.0, 25.0]
