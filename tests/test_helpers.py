"""What the tests of messages rest on: a name counts as a whole, and whatever is missing is told."""

import pytest

from tests.helpers import assert_names, raises_naming

MESSAGE = "Set50: 12 of 1,300 images in /data/Set50/HR exceed 0.25 at key.sub[0]: 'x'"


@pytest.mark.parametrize("name", ["Set50", 12, "1,300", "/data/Set50/HR", "Set50/HR", 0.25, "key.sub[0]", "'x'", "sub"])
def test_whole_names_and_numbers_are_found(name):
    assert_names(MESSAGE, name)


@pytest.mark.parametrize("name", ["Set5", 1, 2, 300, 25, 0.2, "image", "/data/Set50/H", "y"])
def test_parts_of_others_are_not(name):
    with pytest.raises(AssertionError):
        assert_names(MESSAGE, 12, name)


def test_an_error_has_to_be_of_the_class_and_name_everything():
    with raises_naming(ValueError, "a", 3) as caught:
        raise ValueError("a has 3")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(AssertionError), raises_naming(ValueError, "a", 3):
        raise ValueError("a has 4")
    with pytest.raises(KeyError), raises_naming(ValueError, "a", 3):
        raise KeyError("a has 3")
    with pytest.raises(pytest.fail.Exception), raises_naming(ValueError):
        pass
