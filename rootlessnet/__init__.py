"""A user-space network for unprivileged Linux namespaces.

The public API, for programs with an asyncio loop of their own:

    from rootlessnet import RunConfig, start

    instance = await start(RunConfig(("python3", "-m", "http.server", "5000")))
    instance.publish("8080:5000")
    status = await instance.wait()
    instance.stop()

`start` runs a command in namespaces of its own, `attach` serves a namespace that exists; both take
a config, whose `NetworkConfig` says what its network is like, and return an `Instance`. `run` is
for programs without a loop: it runs a command to its end. Every error that a user can mend is a
`RootlessnetError`, whose text is one line that names the thing and the remedy.

What needs the loop and the stack is imported when it is first used.
"""

from typing import TYPE_CHECKING

from rootlessnet.config import AttachConfig, Forward, NetworkConfig, RunConfig
from rootlessnet.errors import CommandError, RootlessnetError, UsageError

if TYPE_CHECKING:
    from rootlessnet.app import Instance, attach, start

__version__ = "0.1.0"

__all__ = [
    "AttachConfig",
    "CommandError",
    "Forward",
    "Instance",
    "NetworkConfig",
    "RootlessnetError",
    "RunConfig",
    "UsageError",
    "attach",
    "run",
    "start",
]


def run(config: RunConfig) -> int:
    """Run a command to its end, as `rootlessnet run` does, and return its exit status.

    Signals that are sent to this process are passed on to the command meanwhile; so call it from
    the main thread. Raises RootlessnetError.
    """
    from contextlib import closing

    from rootlessnet.netns.launch import launch

    # The child is at work while the stack is imported: that is why `launch` comes first.
    with closing(launch(config)) as guest:
        from rootlessnet.app import run_guest

        return run_guest(guest, config)


def __getattr__(name: str) -> object:
    if name in ("Instance", "attach", "start"):
        from rootlessnet import app

        exported: object = getattr(app, name)
        return exported
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
