# The fast plane where connection tracking is a module: XDP asks it all the same, so access lists and NAT are served.

show() {
	rtrctl -N guest -c "$1"
}

# ends: hosts c and s, each with a cable to us; what XDP sends is taken where the peer has GRO.
ends() {
	local name net
	for name in c:1 s:2; do
		IFS=: read -r name net <<<"$name"
		ip netns add "$name"
		ip link add "to$name" type veth peer name eth0 netns "$name"
		ip -n "$name" addr add "10.77.$net.2/24" dev eth0
		ip -n "$name" addr add "fd00:77:$net::2/64" dev eth0 nodad
		ip -n "$name" link set eth0 up
		ip -n "$name" route add default via "10.77.$net.1"
		ip -n "$name" route add default via "fd00:77:$net::1"
		ip netns exec "$name" ethtool -K eth0 tx off gso off tso off gro on
	done
}

t_policy() {
	[ -e /sys/kernel/btf/nf_conntrack ] || modprobe nf_conntrack
	[ -e /sys/kernel/btf/nf_conntrack ] || skip "connection tracking is not a module, or has no types"
	grep -q ' bpf_xdp_ct_lookup' /proc/kallsyms || skip "a kernel before 5.18"
	ends
	start_rtrd
	configure "interface toc" "ip address 10.77.1.1/24" "ipv6 address fd00:77:1::1/64" "ip nat inside" "no shutdown" "dataplane fast" exit \
		"interface tos" "ip address 10.77.2.1/24" "ipv6 address fd00:77:2::1/64" "ip nat outside" "no shutdown" "dataplane fast" exit \
		"ip access-list extended LAN" "permit ip 10.77.1.0 0.0.0.255 any" exit \
		"ip nat inside source list LAN interface tos overload" \
		"ipv6 access-list IN6" "permit ipv6 fd00:77:1::/64 any" exit \
		"interface toc" "ipv6 traffic-filter IN6 in" exit
	wait_for 60 sh -c "[ \$(rtrctl -N guest -c 'show dataplane interfaces' | grep -c 'fast  *fast') = 2 ]"
	local to port=9000
	mkfifo /tmp/open
	exec 9<>/tmp/open
	dd if=/dev/urandom of=/tmp/file bs=64k count=4 2>/dev/null
	for to in 10.77.2.2 fd00:77:2::2; do
		port=$((port + 1))
		rm -f /tmp/up
		# One whose input ends closes.
		ip netns exec s nc -l -p $port <&9 >/tmp/up &
		local listener=$!
		wait_for 10 sh -c "ip netns exec s ss -ltn | grep -q :$port"
		(cat /tmp/file; sleep 3) | ip netns exec c timeout 60 nc -w 20 "$to" $port >/dev/null &
		wait_for 30 sh -c "rtrctl -N guest -c 'show dataplane flows' | grep -q '$to.*$port.*\(express\|worker\)'"
		wait $listener
		cmp /tmp/file /tmp/up || fail "what $to got is not what was sent"
		[ "$to" != 10.77.2.2 ] || show "show ip nat translations" | grep -q 10.77.1.2 || fail "nothing was translated"
	done
	configure "no interface toc" "no interface tos" "no ip nat inside source list LAN interface tos overload" \
		"no ip access-list extended LAN" "no ipv6 access-list IN6"
	ip netns del c
	ip netns del s
}
