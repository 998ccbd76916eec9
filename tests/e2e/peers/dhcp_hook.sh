#!/bin/sh
# What udhcpc and dhclient run when something happens to their lease: it configures the interface,
# and adds a line to the file $EVENTS. Read: udhcpc's README, dhclient-script(8).
event=${reason:-$1}
case $event in
bound | renew | BOUND | REBOOT | RENEW | REBIND)
    ip address replace "${new_ip_address:-$ip}/${new_subnet_mask:-$subnet}" dev "$interface"
    ip link set dev "$interface" mtu "${new_interface_mtu:-$mtu}"
    ip route replace default via "${new_routers:-$router}"
    ;;
BOUND6)
    ip address replace "$new_ip6_address/$new_ip6_prefixlen" dev "$interface"
    ;;
esac
echo "$event address=${new_ip_address:-${new_ip6_address:-${ip:-}}}" \
    "dns=${new_domain_name_servers:-${new_dhcp6_name_servers:-${dns:-}}}" \
    "search=${new_domain_search:-${new_dhcp6_domain_search:-${search:-}}}" >>"$EVENTS"
