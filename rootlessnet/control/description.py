"""What an instance says of itself, as a value and as the JSON that carries it.

Read: `rootlessnet.control.protocol`.
"""

from dataclasses import asdict, dataclass

from rootlessnet.config import AttachConfig, RunConfig
from rootlessnet.control import protocol
from rootlessnet.target import Target
from rootlessnet.words import HostAddress


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """The addresses of a guest's network, as texts, and its MTU in bytes. Those of IPv6 are None
    for a guest without it.

    `host_ip` is the host's, of ports that were published without one; None: all of them. `to_host`
    are the host's ports that the guest can reach, as `--to-host` takes them.
    """

    cidr: str
    gateway: str
    dns: str
    guest: str
    mtu: int
    cidr6: str | None = None
    gateway6: str | None = None
    dns6: str | None = None
    guest6: str | None = None
    host_ip: str | None = None
    to_host: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceDescription:
    """A running instance. `pid` is its process's id, 0 when that is in a PID namespace out of
    sight; `started` is in seconds since the epoch.

    It has a `command`, or a `target` that it was attached to: a process id, a path, or
    `descriptor N`. `ports` are the published ones, as `-p` takes them. An instance that `answers`
    not, because its process is stopped, has none of these.
    """

    name: str
    pid: int
    started: float
    command: tuple[str, ...] | None = None
    target: int | str | None = None
    network: NetworkDescription | None = None
    ports: tuple[str, ...] = ()
    answers: bool = True

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def describe(
    config: RunConfig | AttachConfig,
    name: str,
    pid: int,
    started: float,
    ports: tuple[str, ...],
    host_ip: HostAddress | None = None,
) -> InstanceDescription:
    """The description of the instance that serves `config`; `host_ip` was found if that left it
    open.
    """
    network = config.network
    plan6 = network.plan6
    return InstanceDescription(
        name=name,
        pid=pid,
        started=started,
        command=config.command if isinstance(config, RunConfig) else None,
        target=_target(config.target) if isinstance(config, AttachConfig) else None,
        network=NetworkDescription(
            cidr=str(network.cidr),
            gateway=str(network.gateway),
            dns=str(network.dns_address),
            guest=str(network.guest),
            mtu=network.mtu,
            cidr6=None if plan6 is None else str(plan6.cidr),
            gateway6=None if plan6 is None else str(plan6.gateway),
            dns6=None if plan6 is None else str(plan6.dns_address),
            guest6=None if plan6 is None else str(plan6.guest),
            host_ip=None if host_ip is None else str(host_ip),
            to_host=tuple(map(str, network.to_host)),
        ),
        ports=ports,
    )


def _target(target: Target) -> int | str:
    return target if isinstance(target, int) else str(target)


def read(value: object, pid: int) -> InstanceDescription:
    """The description that `as_json` made `value` from, of the process that is `pid` here.

    Raises RootlessnetError when it is none.
    """
    match value:
        case {
            "name": str() as name,
            "started": int() | float() as started,
            "command": command,
            "target": int() | str() | None as target,
            "network": {
                "cidr": str() as cidr,
                "gateway": str() as gateway,
                "dns": str() as dns,
                "guest": str() as guest,
                "mtu": int() as mtu,
                "cidr6": str() | None as cidr6,
                "gateway6": str() | None as gateway6,
                "dns6": str() | None as dns6,
                "guest6": str() | None as guest6,
                "host_ip": str() | None as host_ip,
                "to_host": to_host,
            },
            "ports": ports,
        }:
            six = (cidr6, gateway6, dns6, guest6)
            network = NetworkDescription(
                cidr, gateway, dns, guest, mtu, *six, host_ip, texts(to_host)
            )
            words = None if command is None else texts(command)
            return InstanceDescription(
                name, pid, float(started), words, target, network, texts(ports)
            )
    raise protocol.not_understood()


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list. Raises RootlessnetError when it is none."""
    found = protocol.texts(value)
    if found is None:
        raise protocol.not_understood()
    return found
