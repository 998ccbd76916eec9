"""A user-space network for unprivileged Linux namespaces.

The public API, for programs with an asyncio loop of their own:

    from rootlessnet import RunConfig, start

    instance = await start(RunConfig(("python3", "-m", "http.server", "5000")))
    instance.publish("8080:5000")
    status = await instance.wait()
    instance.stop()

`start` runs a command in namespaces of its own, `attach` serves a namespace that exists; both take
a config, whose `NetworkConfig` says what its network is like, and return an `Instance`. `run` and
`serve` do the same from beginning to end, for programs without a loop: they are what the command
line calls. Every error that a user can mend is a `RootlessnetError`, whose text is one line that
names the thing and the remedy. `instances` describes what runs, whoever started it.

Everything is imported when it is first used: an import of this package costs next to nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootlessnet.added_host import AddedHost
    from rootlessnet.app import Instance
    from rootlessnet.bounds import Bounds
    from rootlessnet.config import AttachConfig, NetworkConfig, RunConfig
    from rootlessnet.control.client import instances
    from rootlessnet.control.description import InstanceDescription, NetworkDescription
    from rootlessnet.errors import CommandError, RootlessnetError, UsageError
    from rootlessnet.exit_status import ExitStatus
    from rootlessnet.forward import Forward, parse_forwards
    from rootlessnet.log import Level, Log
    from rootlessnet.publishing import PublishAll
    from rootlessnet.reservation import Reservation
    from rootlessnet.running import attach, start
    from rootlessnet.target import FrameSocket, TapDescriptor
    from rootlessnet.to_host import ToHost

__version__ = "0.1.0"

__all__ = [
    "AddedHost",
    "AttachConfig",
    "Bounds",
    "CommandError",
    "ExitStatus",
    "Forward",
    "FrameSocket",
    "Instance",
    "InstanceDescription",
    "Level",
    "Log",
    "NetworkConfig",
    "NetworkDescription",
    "PublishAll",
    "Reservation",
    "RootlessnetError",
    "RunConfig",
    "TapDescriptor",
    "ToHost",
    "UsageError",
    "attach",
    "instances",
    "parse_forwards",
    "run",
    "serve",
    "start",
]

_MODULES = {
    "added_host": ("AddedHost",),
    "app": ("Instance",),
    "bounds": ("Bounds",),
    "config": ("AttachConfig", "NetworkConfig", "RunConfig"),
    "control.client": ("instances",),
    "control.description": ("InstanceDescription", "NetworkDescription"),
    "errors": ("CommandError", "RootlessnetError", "UsageError"),
    "exit_status": ("ExitStatus",),
    "forward": ("Forward", "parse_forwards"),
    "log": ("Level", "Log"),
    "publishing": ("PublishAll",),
    "reservation": ("Reservation",),
    "running": ("attach", "start"),
    "target": ("FrameSocket", "TapDescriptor"),
    "to_host": ("ToHost",),
}


def run(
    config: "RunConfig",
    *,
    published: "Callable[[Forward], None] | None" = None,
    log: "Log | None" = None,
    hardening: bool = False,
) -> "ExitStatus":
    """Run a command to its end and return its exit status, whose `signal` is set when this process
    should end in the same way: the command has died of a Ctrl-C that came to this process too.

    Signals that are sent to this process are passed on to the command meanwhile, and a stop of the
    command stops this process; SIGUSR1 has a report written to the log, too, and is kept from a
    command that would die of it. `published` is called, before the command starts, with each port
    whose number was left open; `log` has what happens that a user may want to know. With
    `hardening` this process gives up for ever what the network does not need: for one that has
    nothing else to do, as `rootlessnet.hardening` tells. For the main thread, while no event loop
    runs in it. Raises RootlessnetError.
    """
    from contextlib import closing

    from rootlessnet import limits

    _require_main_thread_without_loop("run", "start")
    with limits.explained():
        limits.require_system()

        from rootlessnet.ipv6_default import settled
        from rootlessnet.netns.launch import launch

        config = settled(config)
        # The child is at work while the stack is imported: that is why `launch` comes first.
        with closing(launch(config)) as guest:
            from rootlessnet.running import run_guest

            return run_guest(guest, config, published, log, hardening)


def serve(
    config: "AttachConfig",
    *,
    published: "Callable[[Forward], None] | None" = None,
    log: "Log | None" = None,
    hardening: bool = False,
    sandbox: bool = False,
) -> "ExitStatus":
    """Serve a namespace that exists until it ends, or its process if it is named by one; 0.

    SIGHUP, SIGINT, SIGQUIT and SIGTERM end it as well, SIGUSR1 has a report written to the log.
    `published` is called with each port whose number was left open, `log` and `hardening`: as for
    `run`; with `sandbox` this process also gets a root directory with only what it still reads. For
    the main thread, while no event loop runs in it. Raises RootlessnetError.
    """
    from contextlib import closing

    from rootlessnet import limits

    _require_main_thread_without_loop("serve", "attach")
    with limits.explained():
        limits.require_system()

        from rootlessnet.ipv6_default import settled
        from rootlessnet.netns.attach import attach as enter

        config = settled(config)
        with closing(enter(config)) as attachment:  # the order is that of `run`
            from rootlessnet.running import run_attachment

            return run_attachment(attachment, config, published, log, hardening, sandbox)


def _require_main_thread_without_loop(name: str, other: str) -> None:
    """Signals are for the main thread, and a thread has one loop at a time.

    Raises RootlessnetError that recommends the `other` function instead of the one called `name`.
    """
    import _thread  # threading costs 1 ms, asyncio 60: who has not imported it has no loop
    import os
    import sys

    from rootlessnet.errors import RootlessnetError

    if _thread.get_native_id() != os.getpid():
        raise RootlessnetError(
            f"rootlessnet.{name} handles signals, which only the main thread can: call it there, "
            f"or await rootlessnet.{other} on a loop of this thread"
        )
    if "asyncio" in sys.modules:
        import asyncio

        if asyncio._get_running_loop() is not None:
            raise RootlessnetError(
                f"rootlessnet.{name} has a loop of its own, and one runs in this thread already: "
                f"await rootlessnet.{other} on it"
            )


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            from importlib import import_module

            exported: object = getattr(import_module(f"rootlessnet.{module}"), name)
            return exported
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
