"""Either family, for tests of what is the same in both: the fixture `side`.

scapy has other classes and names for each; `said` and `error` have what they mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.packet import Packet, Raw

from rootlessnet.wire.icmp import Reason
from tests.stack import world


@dataclass(frozen=True)
class Side:
    """A family: its addresses, scapy's header, and what the guest sends by it."""

    ip: type[Packet]
    header_size: int  # bytes
    gateway: str
    dns: str
    guest: str
    other_guest: str  # another address of the guest's network
    remote: str
    other: str  # another remote
    router: str  # on the way to them
    errors: Mapping[Reason, tuple[int, int]]  # types and codes
    echo_types: tuple[int, int]  # of a request and a reply
    echo_protocol: int
    largest_quote: int  # bytes of a packet in an ICMP error

    def udp(
        self,
        payload: bytes = b"payload",
        dst: str | None = None,
        dport: int = 7000,
        sport: int = 4000,
        src: str | None = None,
    ) -> Packet:
        return world.udp(payload, dst or self.remote, dport, sport, src)

    def echo(
        self,
        data: bytes = b"data",
        dst: str | None = None,
        identifier: int = 77,
        sequence: int = 1,
    ) -> Packet:
        return world.echo(data, dst or self.remote, identifier, sequence)

    def tcp(
        self,
        flags: str,
        seq: int = 1000,
        ack: int = 0,
        payload: bytes = b"",
        dst: str | None = None,
        dport: int = 80,
        sport: int = 40000,
        src: str | None = None,
    ) -> Packet:
        return world.tcp(flags, seq, ack, payload, dst or self.remote, dport, sport, src)

    def ping(self, data: bytes, identifier: int, sequence: int, *, reply: bool = False) -> bytes:
        """An echo message, as a ping socket has it, which knows nothing of checksums."""
        message: Packet
        if self.ip is IP:
            message = ICMP(type=0 if reply else 8, id=identifier, seq=sequence)
        else:
            kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
            message = kind(id=identifier, seq=sequence)
        head = self.ip(src=self.guest, dst=self.remote)
        return bytes(self.ip(bytes(head / message / Raw(data))).payload)

    def error(self, answer: Packet) -> tuple[int, int]:
        """Type and code of an ICMP message to the guest."""
        message = answer[self.ip].payload
        return message.type, message.code

    def info(self, answer: Packet) -> int:
        """What an ICMP error has besides: the MTU, or the octet at fault in IPv6."""
        return int.from_bytes(bytes(answer[self.ip].payload)[4:8], "big")

    def quote(self, answer: Packet) -> Packet:
        """The packet that an ICMP error quotes; scapy takes a part of it for extensions."""
        return self.ip(bytes(answer[self.ip])[self.header_size + 8 :])


V4 = Side(
    ip=IP,
    header_size=20,
    gateway=world.GATEWAY,
    dns=world.DNS,
    guest=world.GUEST,
    other_guest="10.0.2.50",
    remote=world.REMOTE,
    other="192.0.2.9",
    router="198.51.100.1",
    errors={
        Reason.NO_ROUTE: (3, 0),
        Reason.HOST_UNREACHABLE: (3, 1),
        Reason.PROTOCOL_UNREACHABLE: (3, 2),
        Reason.PORT_UNREACHABLE: (3, 3),
        Reason.TOO_BIG: (3, 4),
        Reason.PROHIBITED: (3, 13),
        Reason.HOP_LIMIT_EXCEEDED: (11, 0),
    },
    echo_types=(8, 0),
    echo_protocol=1,
    largest_quote=548,
)
V6 = Side(
    ip=IPv6,
    header_size=40,
    gateway=world.GATEWAY_6,
    dns=world.DNS_6,
    guest=world.GUEST_6,
    other_guest="fd00::50",
    remote=world.REMOTE_6,
    other="2001:db8::9",
    router="2001:db8:ffff::1",
    errors={
        Reason.NO_ROUTE: (1, 0),
        Reason.PROHIBITED: (1, 1),
        Reason.HOST_UNREACHABLE: (1, 3),
        Reason.PORT_UNREACHABLE: (1, 4),
        Reason.PROTOCOL_UNREACHABLE: (4, 1),
        Reason.TOO_BIG: (2, 0),
        Reason.HOP_LIMIT_EXCEEDED: (3, 0),
    },
    echo_types=(128, 129),
    echo_protocol=58,
    largest_quote=1232,
)
