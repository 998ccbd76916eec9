"""Against scapy in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.packet import Packet, Raw
from scapy.utils import inet_aton, mac2str

from rootlessnet.wire import MalformedError, dhcp
from tests.wire.oracle import addresses, patient, u16, u32

MAC = mac2str("02:00:00:00:00:64")
NINE = BOOTP(chaddr=MAC, hlen=6, xid=77, flags=0x8000, ciaddr="10.0.2.9")
Option = tuple[str | int, str | int | bytes] | str


def message(*options: Option, header: Packet | None = None) -> Packet:
    return (header or BOOTP(chaddr=MAC, hlen=6)) / DHCP(options=[*options, "end"])


def parsed(packet: Packet) -> dhcp.Message:
    return dhcp.parse(memoryview(bytes(packet)))


def overloaded(fields: int, *, file: bytes = b"", sname: bytes = b"") -> dhcp.Message:
    options: list[Option] = [("message-type", "request"), ("dhcp-option-overload", fields)]
    names = BOOTP(chaddr=MAC, hlen=6, file=file.ljust(128, b"\0"), sname=sname.ljust(64, b"\0"))
    return parsed(message(*options, header=names))


@given(
    st.sampled_from(["discover", "request", "decline", "release", "inform"]),
    u32,
    st.booleans(),
    addresses,
    addresses,
    u32,
    u16,
    st.binary(min_size=1, max_size=255),
    st.lists(st.integers(1, 254), min_size=1, max_size=255),
)
@patient
def test_a_message(
    kind: str,
    transaction: int,
    broadcast: bool,
    client: str,
    address: str,
    seconds: int,
    size: int,
    identifier: bytes,
    wanted: list[int],
) -> None:
    found = parsed(
        message(
            ("message-type", kind),
            ("requested_addr", address),
            ("server_id", client),
            ("lease_time", seconds),
            ("max_dhcp_size", size),
            ("client_id", identifier),
            (55, bytes(wanted)),
            header=BOOTP(
                chaddr=MAC,
                hlen=6,
                xid=transaction,
                flags=0x8000 * broadcast,
                ciaddr=client,
                giaddr=address,
            ),
        )
    )
    assert found == dhcp.Message(
        {"discover": 1, "request": 3, "decline": 4, "release": 7, "inform": 8}[kind],
        transaction,
        broadcast,
        inet_aton(client),
        inet_aton(address),
        MAC,
        identifier,
        inet_aton(address),
        inet_aton(client),
        bytes(wanted),
        seconds,
        max(size, 576),
    )


def test_a_message_that_says_little() -> None:
    found = parsed(message(("message-type", "discover")))
    assert found.client_identifier == b""
    assert found[7:] == (None, None, None, None, 576)


def test_a_message_of_bootp_has_no_kind() -> None:
    assert parsed(message("pad", ("hostname", b"old"))).kind == 0


def test_an_option_in_parts_is_one() -> None:
    parts: list[Option] = [("client_id", b"a" * 255), ("hostname", b"me"), ("client_id", b"b")]
    assert parsed(message(*parts)).client_identifier == b"a" * 255 + b"b"


@pytest.mark.parametrize("end", [b"", b"\xff", b"\xff\x37\x09", b"\0\0"])
def test_options_end(end: bytes) -> None:
    bare = bytes(message(("message-type", "discover")))[:-1]
    assert dhcp.parse(memoryview(bare + end)).kind == dhcp.DISCOVER


def test_options_go_on_in_the_fields_for_names() -> None:
    file, name = b"\x3d\x02fi\xff", b"\x3d\x02na\xff"
    assert overloaded(1, file=file, sname=name).client_identifier == b"fi"
    assert overloaded(2, file=file, sname=name).client_identifier == b"na"
    assert overloaded(3, file=file, sname=name).client_identifier == b"fina"


@pytest.mark.parametrize(
    "bad",
    [
        message(header=BOOTP(op=2, chaddr=MAC, hlen=6)),
        message(header=BOOTP(htype=6, chaddr=MAC, hlen=6)),
        message(header=BOOTP(chaddr=MAC, hlen=16)),
        BOOTP(chaddr=MAC, hlen=6, options=b"cookie"),
        Raw(bytes(BOOTP(chaddr=MAC, hlen=6))[:236]),
        message((53, b"\1\1")),
        message((53, b"")),
        message((50, b"\1\2\3")),
        message((51, b"\1\2\3\4\5")),
        message((54, b"\1\2\3")),
        message((57, b"\1")),
        message((61, b"")),
        message((52, b"")),
        message((52, b"\1"), header=BOOTP(chaddr=MAC, hlen=6, file=b"\x3d\xff" + b"x" * 126)),
    ],
)
def test_malformed(bad: Packet) -> None:
    with pytest.raises(MalformedError):
        parsed(bad)


@pytest.mark.parametrize("cut", [b"\x3d", b"\x3d\x02", b"\x3d\x02x"])
def test_an_option_that_is_cut_off(cut: bytes) -> None:
    bare = bytes(message(("message-type", "discover")))[:-1]
    with pytest.raises(MalformedError):
        dhcp.parse(memoryview(bare + cut))


@given(data=st.binary(max_size=400), keep=st.integers(0, 240))
@patient
def test_any_bytes(data: bytes, keep: int) -> None:
    """They are read, or refused as malformed."""
    try:
        found = dhcp.parse(memoryview(bytes(message())[:keep] + data))
    except MalformedError:
        return
    assert len(found.mac) == 6


def test_an_answer() -> None:
    question = parsed(message(("message-type", "request"), header=NINE))
    options = [(dhcp.SERVER_IDENTIFIER, inet_aton("10.0.2.2")), (dhcp.INTERFACE_MTU, b"\5\xdc")]
    packet = BOOTP(dhcp.build_reply(question, dhcp.ACK, inet_aton("10.0.2.15"), options))
    assert (packet.op, packet.xid, packet.flags, packet.yiaddr) == (2, 77, "B", "10.0.2.15")
    assert (packet.ciaddr, packet.giaddr, packet.chaddr[:6]) == ("10.0.2.9", "0.0.0.0", MAC)
    told = packet[DHCP].options
    assert told[:3] == [("message-type", 5), ("server_id", "10.0.2.2"), ("interface-mtu", 1500)]
    assert told[3] == "end"


def test_a_refusal_gives_no_address() -> None:
    question = parsed(message(("message-type", "request"), header=NINE))
    packet = BOOTP(dhcp.build_reply(question, dhcp.NAK, bytes(4), []))
    assert (packet.ciaddr, packet.yiaddr) == ("0.0.0.0", "0.0.0.0")
    assert packet[DHCP].options[0] == ("message-type", 6)
    assert len(packet) == 300


def test_a_long_option_is_written_in_parts() -> None:
    value = bytes(range(256)) * 2
    encoded = dhcp.encode_option(200, value)
    again = bytes(message())[:-1] + encoded.replace(b"\xc8\xff", b"\x3d\xff", 2)
    assert encoded[:2] == encoded[257:259] == b"\xc8\xff"
    assert encoded[514:516] == b"\xc8\2"
    again = again[:-4] + b"\x3d\2" + value[510:]
    assert dhcp.parse(memoryview(again)).client_identifier == value


@pytest.mark.parametrize(
    ("prefix", "length", "encoded"),
    [
        ("0.0.0.0", 0, b"\0"),
        ("10.0.0.0", 8, b"\x08\x0a"),
        ("10.0.0.0", 24, b"\x18\x0a\0\0"),
        ("10.229.0.128", 25, b"\x19\x0a\xe5\0\x80"),
        ("10.198.122.47", 32, b"\x20\x0a\xc6\x7a\x2f"),
    ],
)
def test_the_routes_of_rfc_3442(prefix: str, length: int, encoded: bytes) -> None:
    router = inet_aton("10.0.2.2")
    assert dhcp.encode_route(inet_aton(prefix), length, router) == encoded + router
