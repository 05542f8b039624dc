"""The nearest name is suggested, and none where none is near."""

import pytest

from ipt_models.suggestions import nearest
from tests.helpers import assert_names


@pytest.mark.parametrize(
    ("value", "name"), [("ipt_tinny", "ipt_tiny"), ("IPT_TINY", "ipt_tiny"), ("set5", "Set5"), (300, "30")]
)
def test_the_nearest_name_is_suggested_as_it_is_spelled(value, name):
    assert_names(nearest(value, ["ipt_tiny", "ipt_base", "Set5", 30]), f"'{name}'")


@pytest.mark.parametrize("value", ["zebra", "", None, 7])
def test_a_far_name_has_no_suggestion(value):
    assert nearest(value, ["ipt_tiny", "Set5"]) == ""
    assert nearest("x", []) == ""
