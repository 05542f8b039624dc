"""Numbers as text: rounded, with a minus sign; a dash for a missing number."""

import pandas as pd

from workflows.analysis.records import ends

NONE = "–"


def number(value: float, digits: int = 2, sign: str = "") -> str:
    """Rounded to some digits after the point; `sign` is `+` for differences."""
    # Adding 0 turns −0.0 into 0.0.
    return NONE if pd.isna(value) else f"{round(float(value), digits) + 0.0:{sign}.{digits}f}".replace("-", "−")


def probability(value: float) -> str:
    """A p-value to three digits, or `< 0.001`."""
    return "< 0.001" if value < 0.001 else number(value, 3)


def count(value: float) -> str:
    """A large number to three digits; below a hundred, one decimal."""
    return NONE if pd.isna(value) else f"{value:.1f}" if value < 100 else f"{float(f'{value:.3g}'):,.0f}"


def whole(value: float) -> str:
    """All digits of a whole number."""
    return NONE if pd.isna(value) else f"{value:,.0f}"


def counted(value: float, noun: str) -> str:
    """`1 image`, `5 images`."""
    return f"{whole(value)} {noun}{'' if value == 1 else 's'}"


def rounded_percent(fraction: float) -> str:
    """To three digits: 0.61237 → `61.2 %`."""
    return f"{100 * fraction:.3g}\u00a0%"


def percents(text: str) -> str:
    """One fraction or two: `0.01-1` → `1 % to 100 %`; `1` → `100 %`."""
    return " to ".join(f"{100 * end:g}\u00a0%" for end in ends(text))


def interval(low: float, high: float, digits: int = 2) -> str:
    """An interval's two ends."""
    return NONE if pd.isna(low) or pd.isna(high) else f"{number(low, digits)} to {number(high, digits)}"
