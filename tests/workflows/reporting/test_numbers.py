"""Numbers as text."""

from workflows.reporting.numbers import NONE, count, counted, interval, number, percents, probability


def test_rounding_gives_no_negative_zero_and_a_true_minus():
    assert [number(-0.001), number(-1.5, 1), number(1.5, 1, "+"), number(float("nan"))] == [
        "0.00",
        "−1.5",
        "+1.5",
        NONE,
    ]


def test_small_probabilities_are_bounds():
    assert [probability(0.00099), probability(0.02)] == ["< 0.001", "0.020"]


def test_large_numbers_have_three_digits():
    assert [count(3.14159), count(123456)] == ["3.1", "123,000"]


def test_one_is_singular():
    assert [counted(number, "image") for number in (0, 1, 2, 1200)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,200 images",
    ]


def test_an_interval_needs_both_ends():
    assert [interval(-0.1, 0.2), interval(float("nan"), 0.2)] == ["−0.10 to 0.20", NONE]


def test_fractions_are_shown_in_percent():
    assert [percents(text).replace("\u00a0", " ") for text in ("0.01-1", "1", "5e-05-1")] == [
        "1 % to 100 %",
        "100 %",
        "0.005 % to 100 %",
    ]
