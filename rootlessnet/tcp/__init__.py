"""The TCP engine, sans-IO: no sockets, no loop, no clock.

One `Connection` is the guest's half of a proxied connection; the other half is a host socket with
the host kernel's complete TCP. The peer is therefore always a kernel one hop away over a link that
cannot corrupt and, towards the guest, cannot lose. Congestion control, SACK, PAWS and path-MTU
discovery stay with the kernels. Read: RFC 9293, RFC 6298, RFC 7323, RFC 5961, RFC 6528.
"""
