"""The bounds that a user changes: text to values. Read: bounds.py."""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace

from rootlessnet.bounds import DEFAULTS, RANGES, Bounds
from rootlessnet.errors import UsageError
from rootlessnet.words import number, quoted, require

Limit = tuple[str, int]  # the name of a bound, as `Bounds` has it, and its number


def parse_limit(text: str) -> Limit:
    """A name and a number, as in tcp-flows=1000."""
    word, _, value = text.partition("=")
    name, most = word.replace("-", "_"), number(value)
    if name not in RANGES or "_" in word or most is None:
        raise UsageError(f"limit {quoted(text)} is none: write one of {', '.join(defaults())}")
    _require_possible(name, most)
    return name, most


def defaults() -> list[str]:
    """All bounds, as they are written."""
    return [f"{one.replace('_', '-')}={most}" for one, most in asdict(DEFAULTS).items()]


def bounds_of(limits: Iterable[Limit]) -> Bounds:
    """The bounds with these changes, of which the last counts."""
    return replace(DEFAULTS, **dict(limits))


def require_bounds(bounds: Bounds) -> None:
    """Refuse bounds that are not possible."""
    for field in fields(bounds):
        value: object = getattr(bounds, field.name)
        require(field.name, value, int, "a number")
        assert isinstance(value, int)
        _require_possible(field.name, value)


def _require_possible(name: str, most: int) -> None:
    possible = RANGES[name]
    if most not in possible:
        raise UsageError(
            f"limit {name.replace('_', '-')}={most} is out of range: "
            f"take {possible[0]} to {possible[-1]}"
        )
