"""A parent without a stack: starts a guest, reads nobody's frames, ends with the command's status.

parent.py [--map-user] [--no-pid] -- COMMAND [ARG...]
"""

import os
import select
import signal
import sys

from rootlessnet.config import RunConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns.launch import launch


def main() -> int:
    options = sys.argv[1 : sys.argv.index("--")]
    command = tuple(sys.argv[sys.argv.index("--") + 1 :])
    guest = launch(
        RunConfig(
            command, map_user="--map-user" in options, pid_namespace="--no-pid" not in options
        )
    )
    guest.stop_with_command()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command as well
    try:
        tap = guest.receive_link()
        guest.start_command()
        while (status := guest.poll()) is None:
            select.select([guest], [], [])
        os.close(tap.fd)
        return status
    except RootlessnetError as error:
        sys.stderr.write(f"parent: {error}\n")
        return error.exit_status
    finally:
        guest.close()


if __name__ == "__main__":
    sys.exit(main())
