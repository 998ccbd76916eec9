"""Where the state folder of a user is, which `rootlessnet.control` fills and a guest does not see.

It is $XDG_RUNTIME_DIR/rootlessnet, or without that variable a folder where systemd would have put
it, or one in /tmp.

Read: XDG Base Directory Specification, file-hierarchy(7).
"""

import os
from contextlib import suppress

ANYBODYS = "/tmp"


def folder_path() -> str:
    """Where the state folder is, or would be."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):  # the specification has a relative one ignored
        return os.path.join(runtime, "rootlessnet")
    user = os.geteuid()
    runtime = f"/run/user/{user}"
    with suppress(OSError):
        if os.stat(runtime).st_uid == user:
            return os.path.join(runtime, "rootlessnet")
    return f"{ANYBODYS}/rootlessnet-{user}"
