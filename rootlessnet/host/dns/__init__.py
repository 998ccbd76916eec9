"""The DNS forwarder: what the guest asks at its DNS address is asked of the host's nameservers.

`resolver` takes the guest's queries, over UDP and, through `stream`, over TCP, and answers those
about our own names (`own_names`). The others are asked by the transport that the guest chose, so
that what is too large for UDP goes by TCP as on the host: `lane` bounds how many are in flight, and
`exchange` asks one nameserver after the other for one of them. `nameservers` remembers who is dead,
and `watch` follows the host's resolv.conf. All connect from the host, so a resolver on its loopback
will do.

Messages pass through unread beyond header, question and OPT (`wire/dns.py`): a parse by dnspython
costs 0.1 ms, and importing it some 80 ms in which no packet moves. It makes the answers about own
names, whose guests have most of them from /etc/hosts: few ever load it.

Read: RFC 5625 (DNS proxies), RFC 7766 (DNS over TCP), RFC 5452 (forged answers), resolv.conf(5).
"""
