"""The host's side: sockets, the TAP and the loop, as adapters to what the stack asks for.

Nothing here knows a protocol's rules; nothing in the stack knows a socket.
"""
