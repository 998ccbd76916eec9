"""What the guest's kernel does for us under offload, done here: cut a large frame into segments and
complete checksums. For devices that refuse the virtio-net header or segmentation, and for frames
that leave the process in another form (a capture). A frame of 64 KB costs about half a millisecond.
Read: virtio 1.2 5.1.6.2, RFC 9293 3.1.
"""

from collections.abc import Iterator

from rootlessnet.wire import ethernet, ipv4, tcp, udp, vnet
from rootlessnet.wire.checksum import Buffer, checksum, word_sum

_IP = ethernet.PAYLOAD
_LAST_FLAGS = tcp.FIN | tcp.PSH


def segments(header: Buffer, payload: Buffer) -> Iterator[bytes]:
    """The plain frames, without virtio-net header, that stand for a frame in two parts."""
    flags, gso, _, size, csum_start, csum_offset = vnet.HEADER.unpack_from(header)
    plain = bytes(header[ethernet.START :])
    if not flags & vnet.NEEDS_CSUM:
        yield plain + payload
        return
    view = memoryview(payload)
    if gso == vnet.GSO_NONE or not size:
        size = max(len(view), 1)
    for offset in range(0, max(len(view), 1), size):
        part = view[offset : offset + size]
        frame = bytearray(plain) + part
        _patch(frame, csum_start, offset, offset + size >= len(view), gso)
        _complete(frame, csum_start, csum_offset)
        yield bytes(frame)


def _patch(frame: bytearray, start: int, offset: int, last: bool, gso: int) -> None:
    """Set what differs from one segment to the next: lengths, sequence number, flags."""
    network = _IP - ethernet.START
    length = len(frame) - network
    frame[network + 2 : network + 4] = length.to_bytes(2, "big")
    frame[network + 10 : network + 12] = bytes(2)
    total = checksum(word_sum(frame[network : network + ipv4.SIZE]))
    frame[network + 10 : network + 12] = total.to_bytes(2, "big")
    if gso == vnet.GSO_UDP_L4:
        frame[start + 4 : start + 6] = (len(frame) - start).to_bytes(2, "big")
    elif gso == vnet.GSO_TCPV4:
        seq = int.from_bytes(frame[start + 4 : start + 8], "big") + offset & 0xFFFFFFFF
        frame[start + 4 : start + 8] = seq.to_bytes(4, "big")
        if not last:
            frame[start + 13] &= ~_LAST_FLAGS


def _complete(frame: bytearray, start: int, offset: int) -> None:
    """Sum the transport header and payload, and the pseudo-header as the new length has it."""
    network = _IP - ethernet.START
    addresses = frame[network + 12 : network + ipv4.SIZE]
    protocol = frame[network + 9]
    frame[start + offset : start + offset + 2] = bytes(2)
    pseudo = word_sum(addresses) + protocol + len(frame) - start
    value = checksum(pseudo + word_sum(memoryview(frame)[start:]))
    if offset == udp.CHECKSUM_OFFSET and not value:
        value = 0xFFFF  # RFC 768: zero means none
    frame[start + offset : start + offset + 2] = value.to_bytes(2, "big")
