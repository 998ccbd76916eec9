"""Id maps: what is written for whom, and what a map says about groups."""

import pytest

from rootlessnet.netns import user_namespace

WHOLE = "         0          0 4294967295\n"
CONTAINER = "         0       1000          1\n         1     100000      65536\n"


def test_single_map() -> None:
    assert user_namespace.single_map(0, 1000) == "0 1000 1\n"


@pytest.mark.parametrize(
    ("current", "expected"),
    [(WHOLE, "0 0 4294967295\n"), (CONTAINER, "0 0 1\n1 1 65536\n")],
)
def test_identity_map(current: str, expected: str) -> None:
    assert user_namespace.identity_map(current) == expected


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (WHOLE, (0, 4294967294)),
        (CONTAINER, (0, 65536)),
        ("0 1000 1\n", (0, 0)),
        ("1000 1000 1\n", (1000, 1000)),
        ("0 1000 1\n5 100000 10\n", (0, 0)),
        ("1 100000 10\n0 1000 1\n", (0, 10)),
    ],
)
def test_group_range(current: str, expected: tuple[int, int]) -> None:
    assert user_namespace.group_range(current) == expected
