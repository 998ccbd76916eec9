"""What the guest's kernel does for us under offload, done here: cut a large frame into segments and
complete checksums. For devices that refuse the virtio-net header or segmentation, and for frames
that leave the process in another form (a capture). A frame of 64 KB costs about half a millisecond.
Read: virtio 1.2 5.1.6.2, RFC 9293 3.1.
"""

from collections.abc import Iterator

from rootlessnet.wire import ethernet, ip, tcp, udp, vnet
from rootlessnet.wire.checksum import Buffer, checksum, pseudo_header_sum, word_sum
from rootlessnet.wire.families import IPV4, IPV6, Family

_NETWORK = ethernet.PAYLOAD - ethernet.START
_TYPE = slice(_NETWORK - 2, _NETWORK)
_LAST_FLAGS = tcp.FIN | tcp.PSH


def segments(header: Buffer, payload: Buffer) -> Iterator[bytes]:
    """The plain frames, without virtio-net header, that stand for a frame in two parts."""
    flags, gso, _, size, csum_start, csum_offset = vnet.HEADER.unpack_from(header)
    plain = bytes(header[ethernet.START :])
    if not flags & vnet.NEEDS_CSUM:
        yield plain + payload
        return
    family = IPV6 if int.from_bytes(plain[_TYPE], "big") == ethernet.TYPE_IPV6 else IPV4
    view = memoryview(payload)
    if gso == vnet.GSO_NONE or not size:
        size = max(len(view), 1)
    for offset in range(0, max(len(view), 1), size):
        part = view[offset : offset + size]
        frame = bytearray(plain) + part
        _patch_lengths(frame, family)
        if gso == vnet.GSO_UDP_L4:
            _patch_udp(frame, csum_start)
        elif gso != vnet.GSO_NONE:
            _patch_tcp(frame, csum_start, offset, offset + size >= len(view))
        _complete(frame, family, csum_start, csum_offset)
        yield bytes(frame)


def _patch_lengths(frame: bytearray, family: Family) -> None:
    """Set the length of the packet, and the checksum of a header that has one."""
    length = len(frame) - _NETWORK - family.header_size + family.length_of_header
    _set(frame, _NETWORK + family.length_at, length)
    if family.checksum_at:
        at = _NETWORK + family.checksum_at
        _set(frame, at, 0)
        _set(frame, at, checksum(word_sum(frame[_NETWORK : _NETWORK + family.header_size])))


def _patch_udp(frame: bytearray, start: int) -> None:
    _set(frame, start + 4, len(frame) - start)


def _patch_tcp(frame: bytearray, start: int, offset: int, last: bool) -> None:
    """Set sequence number and flags of the segment at `offset` bytes of the payload."""
    seq = int.from_bytes(frame[start + 4 : start + 8], "big") + offset & 0xFFFFFFFF
    frame[start + 4 : start + 8] = seq.to_bytes(4, "big")
    if not last:
        frame[start + 13] &= ~_LAST_FLAGS


def _complete(frame: bytearray, family: Family, start: int, offset: int) -> None:
    """Sum the transport header and payload, and the pseudo-header as the new length has it."""
    at = _NETWORK + family.addresses_at
    addresses = bytes(frame[at : at + 2 * family.address_size])
    protocol = ip.UDP if offset == udp.CHECKSUM_OFFSET else ip.TCP
    _set(frame, start + offset, 0)
    pseudo = pseudo_header_sum(addresses, protocol, len(frame) - start)
    value = checksum(pseudo + word_sum(memoryview(frame)[start:]))
    if protocol == ip.UDP and not value:
        value = 0xFFFF  # RFC 768: zero means none
    _set(frame, start + offset, value)


def _set(frame: bytearray, at: int, value: int) -> None:
    frame[at : at + 2] = value.to_bytes(2, "big")
