"""Arguments that are checked before the compiled part sees them."""

from __future__ import annotations

from typing import Any

from mlsim._native import Error


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """Whatever has __index__, but no truth value. Raises mlsim.Error for anything else and for what is out of range."""
    try:
        number = value.__index__() if not isinstance(value, bool) else None
    except AttributeError:
        number = None
    if number is None or not low <= number <= high:
        raise Error(f"{name}: is {value!r}, expected a whole number from {low} to {high}")
    return number
