"""Bytes ↔ values, one file a protocol. Standard library only.

A frame is one `memoryview` that begins with the 10-byte virtio-net header (all zero where the
device has none), then Ethernet, then the network protocol: every offset below counts from there.
Parsers read in place and copy nothing but addresses. The only error that leaves this room for bad
input is `MalformedError`; the builders trust their callers.
"""


class MalformedError(ValueError):
    """These bytes are not what their header says. The guest sent them; count and drop."""
