# Links made of others, and VRFs, carry traffic to a peer that speaks plain Linux.

# link_peer NAME...: a namespace "peer"; each NAME is a cable to it, up, of the same name there.
link_peer() {
	! ip netns list | grep -qw peer || ip netns del peer # of a test that failed
	ip netns add peer
	ip -n peer link set lo up
	for port; do
		ip link add "$port" type veth peer name "$port" netns peer
		ip -n peer link set "$port" up
	done
}

unlink_peer() {
	ip netns del peer
}

peer_pings() {
	wait_for 15 ip netns exec peer ping -c 1 -W 1 "$@"
}

show() {
	rtrctl -N guest -c "$1"
}

t_tunnels() {
	start_rtrd
	link_peer p0
	ip -n peer addr add 10.0.0.2/24 dev p0
	ip -n peer -6 addr add 2001:db8::2/64 dev p0 nodad
	configure "interface p0" "ip address 10.0.0.1/24" "ipv6 address 2001:db8::1/64" "exit" \
		"interface Tunnel1" "tunnel source p0" "tunnel destination 10.0.0.2" "tunnel key 77" \
		"ip address 10.1.1.1/30" "ipv6 address 2001:db8:1::1/64" "exit" \
		"interface Tunnel2" "tunnel mode ipip" "tunnel source 10.0.0.1" "tunnel destination 10.0.0.2" \
		"tunnel ttl 33" "ip address 10.1.2.1/30" "exit" \
		"interface Tunnel3" "tunnel mode ipv6ip" "tunnel source p0" "tunnel destination 10.0.0.2" \
		"ipv6 address 2001:db8:3::1/64" "exit" \
		"interface Tunnel4" "tunnel mode gre ipv6" "tunnel source 2001:db8::1" \
		"tunnel destination 2001:db8::2" "ip address 10.1.4.1/30" "exit" \
		"interface Tunnel5" "tunnel mode ipv6" "tunnel source 2001:db8::1" \
		"tunnel destination 2001:db8::2" "ip address 10.1.5.1/30" "ipv6 address 2001:db8:5::1/64"
	ip -n peer link add t1 type gre local 10.0.0.2 remote 10.0.0.1 key 77
	ip -n peer link add t2 type ipip local 10.0.0.2 remote 10.0.0.1
	ip -n peer link add t3 type sit local 10.0.0.2 remote 10.0.0.1
	ip -n peer link add t4 type ip6gre local 2001:db8::2 remote 2001:db8::1
	ip -n peer link add t5 type ip6tnl mode any local 2001:db8::2 remote 2001:db8::1
	for t in 1 2 3 4 5; do
		ip -n peer link set t$t up
		[ $t = 3 ] || ip -n peer addr add 10.1.$t.2/30 dev t$t
		ip -n peer -6 addr add 2001:db8:$t::2/64 dev t$t nodad
	done
	for a in 10.1.1.1 10.1.2.1 10.1.4.1 10.1.5.1 2001:db8:1::1 2001:db8:3::1 2001:db8:5::1; do
		peer_pings $a
	done
	ip -d link show Tunnel2 | grep -q 'ttl 33'
	show "show interfaces tunnel" | grep -q 'Tunnel protocol/transport GRE/IP, MTU'
	show "show kernel drift" | grep -q 'kernel matches'
	# A changed line makes it anew, a restart leaves it alone.
	configure "interface Tunnel1" "tunnel key 78"
	wait_for 10 sh -c "ip -d link show Tunnel1 | grep -q 'okey 0.0.0.78'"
	configure "no interface Tunnel1" "no interface Tunnel2" "no interface Tunnel3" "no interface Tunnel4" "no interface Tunnel5"
	wait_for 10 sh -c "! ip link show Tunnel1"
	unlink_peer
}

t_vrf() {
	start_rtrd
	link_peer p0 p1 p2
	# The same addresses twice: only the VRF tells the two apart.
	configure "vrf definition RED" "rd 65000:1" "exit" "vrf definition BLUE" "exit" \
		"interface p0" "vrf forwarding RED" "ip address 10.0.0.1/24" "ipv6 address 2001:db8::1/64" "exit" \
		"interface p1" "vrf forwarding BLUE" "ip address 10.0.0.1/24" "exit" \
		"interface p2" "vrf forwarding RED" "ip address 10.0.2.1/24" "ipv6 address 2001:db8:2::1/64" "exit" \
		"ip route vrf RED 10.9.0.0/16 10.0.2.2" "ipv6 route vrf RED 2001:db8:9::/48 2001:db8:2::2" \
		"ip route vrf BLUE 10.9.0.0/16 Null0" "ip route vrf BLUE 10.0.2.0/24 p2"
	ip -n peer addr add 10.0.0.2/24 dev p0
	ip -n peer -6 addr add 2001:db8::2/64 dev p0 nodad
	peer_pings 10.0.0.1
	peer_pings 2001:db8::1
	wait_for 10 sh -c "rtrctl -N guest -c 'show ip route vrf RED' | grep -q '10.9.0.0/16 .*via 10.0.2.2'"
	show "show ip route vrf RED" | grep -q '10.0.0.0/24 is directly connected, p0'
	! show "show ip route vrf RED" | grep -q unreachable
	! show "show ip route" | grep -q 10.0.0.0/24
	show "show ip route vrf BLUE" | grep -q 'Null0'
	show "show ipv6 route vrf RED" | grep -q '2001:db8:9::/48 .*via 2001:db8:2::2'
	show "show vrf" | grep -q 'RED *65000:1 .*p0, p2'
	# What a VRF does not know is not looked up elsewhere.
	ip route add 10.200.0.0/16 dev lo
	show "show ip route vrf RED get 10.200.0.1" 2>&1 | grep -qi 'unreachable\|no route'
	# Through the VRF, from one port to another.
	ip netns add far
	ip -n peer link set p2 netns far
	ip -n far link set p2 up
	ip -n far addr add 10.0.2.2/24 dev p2
	ip -n far route add default via 10.0.2.1
	ip -n peer route add 10.0.2.0/24 via 10.0.0.1
	peer_pings 10.0.2.2
	# Each VRF has the address; only in RED somebody answers.
	show "ping vrf RED 10.0.0.2" | grep -q 'is 100 percent'
	show "ping vrf RED 2001:db8::2" | grep -q 'is 100 percent'
	show "show ip arp vrf RED" | grep -q '10.0.0.2 .* p0'
	! show "show ip arp vrf RED" | grep -q ' p1'
	show "show ip arp vrf BLUE 10.0.0.1" | grep -q '10.0.0.1 .* p1'
	show "show ipv6 neighbors vrf RED" | grep -q '2001:db8::2 .* p0'
	show "ping 10.0.2.2 repeat 2 source 10.0.2.1 vrf RED" | grep -q 'is 100 percent'
	show "traceroute vrf RED 10.0.0.2 timeout 1" | grep -q '^ *1 10.0.0.2'
	show "ping vrf BLUE 10.0.0.2 repeat 1 timeout 1" | grep -q 'is 0 percent'
	! show "ping 10.0.0.2 repeat 1 timeout 1" 2>&1 | grep -q 'is 100 percent'
	# Faults are looked for in the VRF that is named, or that of the interface.
	show "diagnose neighbor vrf RED 10.0.0.2" | grep -q 'No fault found: 10.0.0.2 is there'
	show "diagnose neighbor vrf RED 2001:db8::2" | grep -q 'No fault found'
	show "diagnose neighbor 10.0.0.2 interface p0" | grep -q 'No fault found'
	show "diagnose neighbor vrf RED 10.0.0.77" | grep -q 'no host on p0 has the address'
	show "diagnose neighbor vrf BLUE 10.0.0.1" | grep -q "this router's own address, on p1"
	show "diagnose path vrf RED 10.0.2.2" | grep -q 'No fault found: 10.0.2.2 can be reached'
	show "diagnose path vrf RED 10.0.2.2 tcp 80" | grep -q 'nothing listens on port 80'
	show "diagnose path 10.0.2.2 from 10.0.0.2 interface p0" | grep -q 'No fault found'
	show "diagnose mtu vrf RED 10.0.2.2" | grep -q 'the path carries what p2 does'
	show "diagnose path vrf RED 192.0.2.9" >/tmp/diag
	grep -q 'there is no route to 192.0.2.9 in vrf RED' /tmp/diag
	grep -q 'ip route vrf RED 0.0.0.0/0 <next hop>' /tmp/diag
	show "diagnose path vrf BLUE 10.9.0.1" | grep -q 'no ip route vrf BLUE 10.9.0.0'
	show "diagnose path 10.0.2.2" | grep -q 'there is no route to 10.0.2.2$'
	show "diagnose path vrf BLUE 10.0.0.2 from 10.0.0.2 interface p0" 2>&1 | grep -q 'p0 is not in vrf BLUE'
	show "show kernel drift" | grep -q 'kernel matches'
	rtrctl -N guest -c "configure terminal" -c "no vrf definition RED" -c end 2>&1 | grep -q 'vrf RED is used by this line'
	configure "no ip route vrf RED" "no ipv6 route vrf RED" "no interface p0" "no interface p2" "no vrf definition RED"
	wait_for 10 sh -c "! ip link show RED"
	[ "$(ip -o link show p0 | grep -c master)" = 0 ]
	configure "no ip route vrf BLUE" "no interface p1" "no vrf definition BLUE"
	wait_for 10 sh -c "! ip link show BLUE"
	ip netns del far
	unlink_peer
}

t_channel() {
	start_rtrd
	link_peer p0 p1
	ip -n peer link set p0 down
	ip -n peer link set p1 down
	ip -n peer link add bond0 type bond mode 802.3ad miimon 100 lacp_rate fast
	ip -n peer link set p0 master bond0
	ip -n peer link set p1 master bond0
	ip -n peer link set bond0 up
	ip -n peer addr add 10.0.0.2/24 dev bond0
	ip -n peer -6 addr add 2001:db8::2/64 dev bond0 nodad
	configure "interface Port-channel1" "lacp rate fast" "port-channel load-balance ip-port" \
		"ip address 10.0.0.1/24" "ipv6 address 2001:db8::1/64" "exit" \
		"interface p0" "channel-group 1 mode active" "exit" "interface p1" "channel-group 1 mode active"
	peer_pings 10.0.0.1
	peer_pings 2001:db8::1
	wait_for 20 sh -c "rtrctl -N guest -c 'show etherchannel summary' | grep -q 'Port-channel1(RU) *LACP *p0(P) p1(P)'"
	ip -d link show Port-channel1 | grep -q 'xmit_hash_policy layer3+4'
	# One cable breaks: the channel goes on.
	ip -n peer link set p0 down
	wait_for 10 sh -c "rtrctl -N guest -c 'show etherchannel summary' | grep -q 'p0(D) p1(P)'"
	peer_pings 10.0.0.1
	show "show kernel drift" | grep -q 'kernel matches'
	configure "interface p0" "no channel-group" "exit" "interface p1" "no channel-group" "exit" "no interface Port-channel1"
	wait_for 10 sh -c "! ip link show Port-channel1"
	[ "$(ip -o link show p1 | grep -c master)" = 0 ]
	unlink_peer
}

t_qinq() {
	start_rtrd
	link_peer p0
	ip -n peer link add link p0 name outer type vlan id 100
	ip -n peer link add link outer name inner type vlan id 7
	ip -n peer link set outer up
	ip -n peer link set inner up
	ip -n peer addr add 10.0.0.2/24 dev inner
	configure "interface p0" "no shutdown" "exit" "interface p0.100" "encapsulation dot1Q 100" "exit" \
		"interface p0.107" "encapsulation dot1Q 100 second-dot1q 7" "ip address 10.0.0.1/24"
	peer_pings 10.0.0.1
	show "show kernel drift" | grep -q 'kernel matches'
	rtrctl -N guest -c "configure terminal" -c "no interface p0.100" -c end 2>&1 | grep -q 'outer tag'
	configure "no interface p0.107" "no interface p0.100"
	wait_for 10 sh -c "! ip link show p0.100"
	unlink_peer
}
