"""The gateway, sans-IO: dispatch, the flow tables, address translation, ARP, ICMP, fragments.

Frames come in through `Gateway.receive` and leave through an injected `Device`; everything that
touches the host goes through an injected `Host`. The same objects run under a test with neither.
"""
