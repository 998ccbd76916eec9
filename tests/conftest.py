"""What all tests share: under CI a skip is a failure, and ports that nobody uses.

A test that misses a program or a right skips and says what it misses, which is as it should be on a
developer's machine. CI has everything: there a skip would hide that something is broken.
"""

import os
import random
import socket
from collections.abc import Generator
from contextlib import ExitStack, suppress

import pytest
from hypothesis import settings

# Failures are not remembered in the tree, which its user may not be able to write to.
settings.register_profile("rootlessnet", database=None)
settings.load_profile("rootlessnet")

UNDER_CI = bool(os.environ.get("CI"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):  # an expected failure is reported as a skip too
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if UNDER_CI and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI is set, where nothing may be skipped. {reason}"


@pytest.fixture
def free_port() -> int:
    """A port that nobody uses, of any address, neither for TCP nor for UDP."""
    return find_free_port()


def find_free_port() -> int:
    """As the fixture, for a test that needs several."""
    for _ in range(100):
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as tcp:
            tcp.bind(("::", 0))
            port: int = tcp.getsockname()[1]
            with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
                udp.bind(("::", port))
                return port
    raise AssertionError("100 ports were free for TCP, and none of them for UDP")


def first_of_free_ports(count: int) -> int:
    """The first of several in a row, as the fixture has one, below those that the kernel gives."""
    for _ in range(100):
        first = random.randrange(10000, 30000)
        with suppress(OSError), ExitStack() as stack:
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    probe = stack.enter_context(socket.socket(socket.AF_INET6, kind))
                    probe.bind(("::", port))
            return first
    raise AssertionError(f"100 times no {count} ports in a row were free")
