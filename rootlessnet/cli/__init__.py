"""The command line: words in, a config and one call of the room below out.

`main` picks the subcommand; each has a module of its own, imported only when it is asked for.
`parser` is argparse with this program's manners, `network_options` the options that subcommands
share, `output` the only writer to the terminal. Nothing here knows a namespace or a packet.
"""
