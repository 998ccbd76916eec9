"""Running instances, seen from other processes of the same user: found, asked, changed and stopped.

Each instance has a name and a socket of that name in the user's state folder (`state`). A client
connects, sends one request, which is a line of JSON, and reads one line in answer (`protocol`). The
socket itself says who is alive: connecting to what a killed instance has left is refused, and
whoever meets such a thing removes it. `server` answers on the instance's own loop; `client` blocks,
and imports little, for the command line waits for it.

Read: unix(7) for the sockets and SO_PEERCRED, the XDG Base Directory Specification for
$XDG_RUNTIME_DIR.
"""
