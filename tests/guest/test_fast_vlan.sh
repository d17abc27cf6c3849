# VLANs on the fast plane: a router on a stick, with its untagged network beside them. Hosts in
# network namespaces behind eth1, which a cable connects with the router's eth0. One router for all of it: the
# verifier takes long here.

show() {
	rtrctl -N guest -c "$1"
}

on() {
	ip netns exec "$@"
}

# host NAME DEVICE ADDRESS4 ADDRESS6 GATEWAY4 GATEWAY6
host() {
	ip -n "$1" link set lo up
	ip -n "$1" link set "$2" up
	ip -n "$1" addr add "$3" dev "$2"
	ip -n "$1" addr add "$4" dev "$2" nodad
	ip -n "$1" route add default via "$5"
	ip -n "$1" route add default via "$6"
}

plane() {
	show "show dataplane eligibility" | grep -q "^$1  *fast  *$2 .*$3"
}

lab() {
	start_rtrd
	for n in wire red blue; do
		ip netns add $n
	done
	ip link set eth1 netns wire
	# Packets are counted: none of several segments.
	on wire ethtool -K eth1 gro off gso off tso off
	ip -n wire link add link eth1 name red type vlan id 10
	ip -n wire link add link eth1 name blue type vlan id 4094
	ip -n wire link set red netns red
	ip -n wire link set blue netns blue
	host wire eth1 10.0.1.2/24 fd00:1::2/64 10.0.1.1 fd00:1::1
	host red red 10.0.10.2/24 fd00:10::2/64 10.0.10.1 fd00:10::1
	on red ethtool -K red gso off tso off
	host blue blue 10.0.20.2/24 fd00:20::2/64 10.0.20.1 fd00:20::1
	configure "interface eth0" "ip address 10.0.1.1/24" "ipv6 address fd00:1::1/64" "dataplane fast" "no shutdown" exit \
		"interface eth0.10" "encapsulation dot1Q 10" "ip address 10.0.10.1/24" "ipv6 address fd00:10::1/64" \
		"dataplane fast" "no shutdown" exit \
		"interface eth0.20" "encapsulation dot1Q 4094" "ip address 10.0.20.1/24" "ipv6 address fd00:20::1/64" \
		"dataplane fast" "no shutdown"
	for i in eth0 eth0.10 eth0.20; do
		wait_for 60 plane $i fast
	done
}

unlab() {
	for i in eth0.10 eth0.20 eth0; do
		configure "no interface $i"
	done
	on wire ip link set eth1 netns 1
	for n in wire red blue; do
		ip netns del $n
	done
}

# What the router and the host count of a VLAN: packets in, and out.
router_counts() {
	show "show interfaces $1 | json" | tr -d ' \n' | sed 's/.*"rx_packets":\([0-9]*\).*"tx_packets":\([0-9]*\).*/\1 \2/'
}

host_counts() {
	on "$1" cat /sys/class/net/$1/statistics/tx_packets /sys/class/net/$1/statistics/rx_packets | tr '\n' ' '
}

# Since $before: equal, but for what a host says to its neighbours between two looks.
counted() {
	set -- $before $(router_counts eth0.10) $(host_counts red)
	local in=$(($5 - $1 - $7 + $3)) out=$(($6 - $2 - $8 + $4))
	echo "in $in, out $out too many"
	[ ${in#-} -le 3 ] && [ ${out#-} -le 3 ] && [ $(($5 - $1)) -gt 100 ]
}

fast_packets() {
	show "show dataplane" | awk -v i="$1" '$1 == i && NF == 7 { print $2 + $3 }'
}

transfer() {
	local pid
	rm -f /tmp/got
	on blue nc -l -p 7 >/tmp/got &
	pid=$!
	wait_for 5 sh -c "ip netns exec blue ss -ltn | grep -q ':7 '"
	# Not nc, which ends when the other side has nothing to say.
	on red bash -c "cat /tmp/sent >/dev/tcp/$1/7"
	wait_for 20 cmp /tmp/sent /tmp/got
	kill $pid 2>/dev/null || true
}

# try ADDRESS4 ADDRESS6: from red to blue and the untagged network, both families.
pings() {
	for to in 10.0.20.2 fd00:20::2 10.0.1.2 fd00:1::2; do
		wait_for 20 on red ping -c 1 -W 1 $to
		on red ping -c 3 -i 0.1 -W 2 $to
	done
}

stick() {
	local before
	dd if=/dev/urandom of=/tmp/sent bs=1k count=300 2>/dev/null
	pings
	before="$(router_counts eth0.10) $(host_counts red)"
	transfer 10.0.20.2
	transfer fd00:20::2
	[ "$(fast_packets eth0.10)" -gt 200 ] || fail "$(show 'show dataplane')"
	wait_for 10 counted
	show "show dataplane audit"

	# Errors come back by the VLAN, and sizes are those of the VLAN that a packet leaves by.
	on red ping -c 1 -t 1 -W 2 10.0.20.2 | grep -q 'From 10.0.10.1 .*Time to live exceeded'
	configure "interface eth0.20" "mtu 1300"
	wait_for 10 sh -c "ip link show eth0.20 | grep -q 'mtu 1300'"
	wait_for 20 plane eth0.20 fast
	wait_for 10 sh -c "ip netns exec red ping -c 1 -M do -s 1400 -W 2 10.0.20.2 | grep -q 'From 10.0.10.1 .*mtu = 1300'"
	on red ip route flush cache
	on red ping -c 2 -M dont -s 1400 -W 2 10.0.20.2
	configure "interface eth0.20" "no mtu"
}

# With a policy: the VLAN is the interface that it judges by, and connections are followed.
policy() {
	configure "ip access-list extended RED" "permit tcp any host 10.0.20.2 eq 7" "permit icmp any any" "deny ip any any" exit \
		"interface eth0.10" "ip access-group RED in"
	wait_for 20 plane eth0.10 fast
	dd if=/dev/urandom of=/tmp/sent bs=1k count=100 2>/dev/null
	wait_for 20 on red ping -c 1 -W 1 10.0.20.2
	transfer 10.0.20.2
	[ "$(fast_packets eth0.10)" -gt 50 ] || fail "$(show 'show dataplane')"
	if on red timeout 2 bash -c ": >/dev/tcp/10.0.20.2/22"; then
		fail "port 22 is not denied"
	fi
	show "show access-lists RED" | grep 'deny' | grep -q '[1-9][0-9]* match'
	# By the other VLAN and untagged nothing is denied.
	wait_for 10 on blue ping -c 1 -W 1 10.0.1.2
	configure "interface eth0.10" "no ip access-group RED in" exit "no ip access-list extended RED"
}

# What keeps a VLAN with the kernel, by name; packets go on there.
leaves() {
	ip link set eth0.20 type vlan egress-qos-map 0:3
	wait_for 20 plane eth0.20 kernel "priorities"
	plane eth0.10 fast
	pings
	ip link set eth0.20 type vlan egress-qos-map 0:0
	configure "interface eth0" "dataplane kernel"
	wait_for 20 plane eth0.10 kernel "its parent is on the kernel plane"
	pings
	configure "interface eth0" "dataplane fast"
	wait_for 30 plane eth0.10 fast
	pings
}

t_vlans() {
	lab
	stick
	policy
	leaves
	unlab
}
