"""Very many connections to a published port at a time: as many as there are descriptors for.

Read: getrlimit(2), RLIMIT_NOFILE; listen(2) on the queue.
"""

import pytest

from tests.e2e.addresses import Addresses
from tests.e2e.conftest import PATIENCE, ROOTLESSNET
from tests.e2e.outside import Outside, peer
from tests.e2e.processes import line_of, tell
from tests.e2e.test_tcp import BOTH_WAYS, inbound

LOOPBACK = "127.0.0.1"
MANY = 10_000
MANY_FILES = ("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"')  # before a command
ways = pytest.mark.parametrize("options", BOTH_WAYS, ids=["splice", "no-splice"])


@pytest.mark.timeout(180)
@ways
def test_ten_thousand(outside: Outside, options: tuple[str, ...]) -> None:
    """Each is used twice. The program raises its own limit; nothing is to be said."""
    server = (*MANY_FILES, *peer("crowd", "serve", "0.0.0.0", 5000))
    words = ("run", *options, "-p", "8080:5000", "--", *server)
    with outside.rootlessnet.serving(*words) as guest:
        client = (*MANY_FILES, *peer("tcp", "hold_together", LOOPBACK, 8080, MANY))
        assert inbound(outside, *client, timeout=150) == str(2 * MANY)
        guest.terminate()
        assert guest.stderr is not None
        assert guest.stderr.read() == ""


@ways
@pytest.mark.parametrize(("limit", "count"), [(64, 100), (256, 250)])
def test_more_than_there_is_room_for(
    outside: Outside, ip: Addresses, options: tuple[str, ...], limit: int, count: int
) -> None:
    """None is accepted then, which is said once, and the others come as these end."""
    server = peer("crowd", "serve", ip.every, 5000)
    few_files = ("sh", "-c", f'ulimit -n {limit}; exec "$0" "$@"')
    words = ("run", *options, "-p", "8080:5000", "--", *server)
    client = peer("crowd", "queue_up", ip.loopback, 8080, count)
    with (
        outside.program(*few_files, *ROOTLESSNET).serving(*words) as guest,
        outside.program(*client).started() as process,
    ):
        assert guest.stderr is not None
        assert guest.stderr.readline() == (
            "rootlessnet: published ports have no room for more connections: clients wait until "
            "others end; for more, raise the limit (ulimit -n)\n"
        )
        tell(process)
        assert line_of(process) == str(count)
        assert process.wait(PATIENCE) == 0
        guest.terminate()
        assert guest.stderr.read() == ""
