# VRFs on the fast plane: RED and BLUE, whose hosts have the same addresses, by VLANs of eth0, and the router's own
# table without a tag. One router for all of it: the verifier takes long here.

show() {
	rtrctl -N guest -c "$1"
}

on() {
	ip netns exec "$@"
}

plane() {
	show "show dataplane eligibility" | grep -q "^$1  *fast  *$2 .*$3"
}

# host NAME DEVICE NETWORK: has the address .2, and the router .1.
host() {
	ip -n "$1" link set lo up
	ip -n "$1" link set "$2" up
	ip -n "$1" addr add "10.0.$3.2/24" dev "$2"
	ip -n "$1" addr add "fd00:$3::2/64" dev "$2" nodad
	ip -n "$1" route add default via "10.0.$3.1"
	ip -n "$1" route add default via "fd00:$3::1"
}

# Hosts ra and rb of RED, ba and bb of BLUE, wan of neither.
lab() {
	local v name vlan net vrf
	start_rtrd
	configure "vrf definition RED" exit "vrf definition BLUE"
	ip netns add wan
	ip link set eth1 netns wan
	host wan eth1 9
	configure "interface eth0" "ip address 10.0.9.1/24" "ipv6 address fd00:9::1/64" "dataplane fast" "no shutdown"
	for v in ra:10:1:RED rb:20:2:RED ba:30:1:BLUE bb:40:2:BLUE; do
		IFS=: read -r name vlan net vrf <<<"$v"
		ip netns add $name
		ip -n wan link add link eth1 name $name type vlan id $vlan
		ip -n wan link set $name netns $name
		host $name $name $net
		configure "interface eth0.$vlan" "encapsulation dot1Q $vlan" "vrf forwarding $vrf" "ip address 10.0.$net.1/24" \
			"ipv6 address fd00:$net::1/64" "dataplane fast" "no shutdown"
	done
	for vlan in 10 20 30 40; do
		wait_for 60 plane eth0.$vlan fast
	done
}

unlab() {
	local i
	for i in eth0.10 eth0.20 eth0.30 eth0.40 eth0; do
		configure "no interface $i"
	done
	configure "no vrf definition RED" "no vrf definition BLUE"
	on wan ip link set eth1 netns 1
	for i in wan ra rb ba bb; do
		ip netns del $i
	done
}

# never COMMAND...: it does not succeed (bash goes on after a `! command` that fails).
never() {
	if "$@"; then
		fail "succeeded: $*"
	fi
}

# pings HOST ADDRESS...
pings() {
	local from=$1 to
	shift
	for to; do
		wait_for 20 on "$from" ping -c 1 -W 1 $to
		on "$from" ping -c 3 -i 0.1 -W 2 $to
	done
}

# transfer FROM TO ADDRESS: a file that nobody else has.
transfer() {
	local pid
	rm -f /tmp/got
	dd if=/dev/urandom of=/tmp/sent bs=1k count=100 2>/dev/null
	on "$2" nc -l -p 7 >/tmp/got &
	pid=$!
	wait_for 5 sh -c "ip netns exec $2 ss -ltn | grep -q ':7 '"
	on "$1" bash -c "cat /tmp/sent >/dev/tcp/$3/7"
	wait_for 20 cmp /tmp/sent /tmp/got
	kill $pid 2>/dev/null || true
}

fast_packets() {
	show "show dataplane" | awk -v i="$1" '$1 == i && NF == 7 { print $2 + $3 }'
}

# says COMMAND PATTERN
says() {
	show "$1" >/tmp/said 2>&1 || true
	grep -q "$2" /tmp/said || fail "$1: no $2 in: $(cat /tmp/said)"
}

# By the tables alone.
routed() {
	local to
	says "show dataplane eligibility" '^eth0.10 .* RED '
	says "show dataplane eligibility" '^eth0.40 .* BLUE '
	for to in 10.0.2.2 fd00:2::2; do
		pings ra $to
		pings ba $to
		transfer ra rb $to
		transfer ba bb $to
	done
	[ "$(fast_packets eth0.10)" -gt 100 ] && [ "$(fast_packets eth0.30)" -gt 100 ] || fail "$(show 'show dataplane')"
	says "show dataplane flows" '10.0.1.2 .*10.0.2.2 7 .*eth0.10  *eth0.20 .* RED$'
	says "show dataplane flows" '10.0.1.2 .*10.0.2.2 7 .*eth0.30  *eth0.40 .* BLUE$'
	says "show dataplane fib 10.0.2.2 vrf RED" 'interface eth0.20'
	says "show dataplane fib 10.0.2.2 vrf BLUE" 'interface eth0.40'
	says "show dataplane fib fd00:2::2 from eth0.30" 'of vrf BLUE: forward'
	says "show dataplane fib 10.0.9.2" 'from eth0 (assumed): '
	says "show dataplane fib 10.0.9.2 vrf RED" ': unreachable'
	says "packet-tracer input eth0.10 udp 10.0.1.2 1000 10.0.2.2 7" 'Comparison: AGREE'
	# What a VRF does not know is not looked up elsewhere, and its hosts are told so by its router.
	never on wan ping -c 1 -W 2 10.0.1.2
	on ra ping -c 1 -W 5 10.0.9.2 | grep -q 'From 10.0.1.1 .*Unreachable'
}

# Out of RED by an interface of the other table, and back.
leaks() {
	configure "ip route vrf RED 10.0.9.0/24 eth0 10.0.9.2" "ip route 10.0.1.0/24 eth0.10 10.0.1.2"
	pings ra 10.0.9.2
	transfer ra wan 10.0.9.2
	says "show dataplane flows" '10.0.1.2 .*10.0.9.2 7 .*eth0.10  *eth0 .* RED$'
	says "show dataplane flows" '10.0.9.2 7 .*10.0.1.2 .*eth0  *eth0.10 '
	never on ba ping -c 1 -W 2 10.0.9.2
	configure "no ip route vrf RED 10.0.9.0/24 eth0 10.0.9.2" "no ip route 10.0.1.0/24 eth0.10 10.0.1.2"
}

# told COLUMN: host ra has had such an ICMP message. 5 is "unreachable", 6 "time exceeded".
told() {
	[ "$(on ra awk -v c="$1" '/^Icmp:/ && ++n == 2 { print $c }' /proc/net/snmp)" -gt 0 ]
}

# About a packet of a connection: of the host that nobody listens at, and of the router.
errors() {
	never told 6
	on ra bash -c 'exec 3>/dev/udp/10.0.2.2/6000; echo a >&3; echo 1 >/proc/sys/net/ipv4/ip_default_ttl; echo b >&3; echo b >&3' || true
	on ra sh -c 'echo 64 >/proc/sys/net/ipv4/ip_default_ttl'
	wait_for 5 told 5
	wait_for 5 told 6
}

# With connections: lists are of the interface that a packet came by, and the same connection in two VRFs is the kernel's.
policy() {
	local name pids=
	configure "ip access-list extended RED" "permit tcp any host 10.0.2.2 eq 7" "permit tcp any any eq 6000" \
		"permit udp any any eq 6000" "permit icmp any any" "deny ip any any" exit "interface eth0.10" "ip access-group RED in"
	wait_for 20 plane eth0.10 fast RED
	transfer ra rb 10.0.2.2
	transfer ba bb 10.0.2.2
	transfer ra rb fd00:2::2
	says "show dataplane flows" '10.0.1.2 .*10.0.2.2 7 .*eth0.10  *eth0.20 .* RED$'
	never on ra timeout 5 bash -c ": >/dev/tcp/10.0.2.2/22"
	says "show access-lists RED" 'deny.*[1-9][0-9]* match'
	says "packet-tracer input eth0.10 tcp 10.0.1.2 1000 10.0.2.2 22" 'AGREE'
	says "packet-tracer input eth0.30 tcp 10.0.1.2 1000 10.0.2.2 22" 'AGREE'
	errors
	# From the same port of the same address at the same time.
	for name in rb bb; do
		on $name iperf3 -s -1 -p 6000 >/tmp/heard.$name 2>&1 &
		wait_for 5 sh -c "ip netns exec $name ss -ltn | grep -q ':6000 '"
	done
	for name in ra ba; do
		on $name iperf3 -c 10.0.2.2 -p 6000 -u --cport 5000 -b 100k -l 500 -t 3 >/tmp/told.$name 2>&1 &
		pids="$pids $!"
	done
	for name in $pids; do
		wait $name || fail "$(cat /tmp/told.*)"
	done
	says "show dataplane" 'punted: two-vrfs  *[1-9]'
	configure "interface eth0.10" "no ip access-group RED in" exit "no ip access-list extended RED"
}

# An interface changes its VRF, and nothing of before gets there.
moves() {
	configure "interface eth0.40" "no ip address" "no ipv6 address" "vrf forwarding RED" "ip address 10.0.3.1/24"
	ip -n bb addr flush dev bb
	ip -n bb addr add 10.0.3.2/24 dev bb
	ip -n bb route add default via 10.0.3.1
	wait_for 60 plane eth0.40 fast RED
	pings ra 10.0.3.2
	transfer ra bb 10.0.3.2
	says "show dataplane flows" '10.0.1.2 .*10.0.3.2 7 .*eth0.10  *eth0.40 .* RED$'
	never on ba ping -c 1 -W 2 10.0.3.2
}

t_vrfs() {
	lab
	routed
	leaks
	policy
	moves
	show "show dataplane audit"
	unlab
}
