"""SIGKILL at random moments of start-up and run, of a random process of an instance: nothing stays.

The kernel removes what a killed process had; what it cannot know of, the socket file, is removed by
whoever asks next. Each instance has a mark of its own in its environment, to find its processes.

Read: signal(7), proc(5) for environ and mountinfo.
"""

import os
import random
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import first_of_free_ports
from tests.e2e.conftest import ROOTLESSNET, Program, carriers, wait_for

RUNS = 200
AT_A_TIME = 4
START_UP = 0.4  # seconds, a little more than start-up takes when so many are at it
COMMAND = ("sh", "-c", "setsid sleep 1000 & exec sleep 1000")
NAME = "ROOTLESSNET_SIGKILL"

pytestmark = pytest.mark.usefixtures("needs_namespaces")


def kill_some(number: int, port: int) -> int:
    """Start an instance and kill it, in half of the cases right after another of its processes; its
    exit status.
    """
    chance = random.Random(number)
    mark = str(uuid.uuid4())
    wanted = f"{NAME}={mark}"
    words = [*ROOTLESSNET, "run", "-p", f"127.0.0.1:{port}:80", "--", *COMMAND]
    process = subprocess.Popen(
        words,
        env=os.environ | {NAME: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(chance.uniform(0, START_UP))  # the moment is what is tested
        others = sorted(carriers(wanted).keys() - {process.pid})
        if others and chance.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(others), signal.SIGKILL)
    finally:
        process.kill()
    status = process.wait(20)
    wait_for(lambda: not carriers(wanted), f"the end of all processes of run {number}")
    return status


@pytest.mark.timeout(150)
def test_nothing_stays(rootlessnet: Program) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    first = first_of_free_ports(AT_A_TIME)

    def kill_in_turn(place: int) -> list[int]:
        return [kill_some(number, first + place) for number in range(place, RUNS, AT_A_TIME)]

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        statuses = [status for some in pool.map(kill_in_turn, range(AT_A_TIME)) for status in some]
    assert len(statuses) == RUNS
    assert statuses.count(-signal.SIGKILL) > RUNS // 2, statuses  # others died of another's death
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert rootlessnet.run("ps").stdout.splitlines()[1:] == []
    assert list(Path(os.environ["XDG_RUNTIME_DIR"]).rglob("*.sock")) == []
    ports = (f"-p 127.0.0.1:{first + place}:80" for place in range(AT_A_TIME))
    words = " ".join(ports).split()
    assert rootlessnet.run("run", *words, "--", "echo", "well").stdout == "well\n"
