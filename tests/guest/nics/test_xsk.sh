# The fast plane on cards that share its packet buffers: forwarding, NAT, punts, a killed process, a card that goes.

# mac KIND NUMBER, dev KIND NUMBER: of nics.py.
mac() {
	echo "02:00:00:00:0$1:0$2"
}

dev() {
	ip -o link | sed -n "s/^[0-9]*: \([a-z0-9]*\).* link\/ether $(mac "$1" "$2") .*/\1/p"
}

show() {
	rtrctl -N guest -c "$1"
}

c() {
	ip netns exec c "$@"
}

s() {
	ip netns exec s "$@"
}

# number KEY: the sum of a counter over all interfaces.
number() {
	show "show dataplane | json" | sed -n "s/^ *\"$1\": \([0-9]*\),*$/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}

# topology KIND: client, router, server; addresses of both families, no router yet.
topology() {
	kind=$1
	in=$(dev "$1" 1)
	out=$(dev "$1" 2)
	[ -n "$in" ] && [ -n "$out" ] || fail "no cards of kind $1"
	local name number net
	for name in c s; do
		# A test before that failed: its cards come back here.
		ip netns del $name 2>/dev/null || true
	done
	wait_for 10 sh -c "ip link | grep -q '$(mac "$1" 3)'"
	wait_for 10 sh -c "ip link | grep -q '$(mac "$1" 4)'"
	for name in c:3:1 s:4:2; do
		IFS=: read -r name number net <<<"$name"
		ip netns add "$name"
		ip link set "$(dev "$1" "$number")" netns "$name" name eth0
		ip -n "$name" link set lo up
		ip -n "$name" addr add "10.$kind.$net.2/24" dev eth0
		ip -n "$name" addr add "fd00:$kind:$net::2/64" dev eth0 nodad
		ip -n "$name" link set eth0 up
		ip -n "$name" route add default via "10.$kind.$net.1"
		ip -n "$name" route add default via "fd00:$kind:$net::1"
		ip netns exec "$name" ethtool -K eth0 tx off gso off tso off gro off >/dev/null 2>&1 || true
	done
}

# cards KIND: as the interfaces of a router whose packets all go by workers.
cards() {
	local name net=0
	for name in $in $out; do
		net=$((net + 1))
		configure "interface $name" "ip address 10.$kind.$net.1/24" "ipv6 address fd00:$kind:$net::1/64" "no shutdown" \
			"dataplane express off" "dataplane fast" "exit"
	done
}

# zero_copy: both are on the fast plane, and the kernel says the same of all their sockets.
zero_copy() {
	[ "$(show "show dataplane interfaces" | grep -c ' fast  *fast  *zero-copy ')" = 2 ] || return 1
	[ "$(ss -a --xdp -e | grep -o 'zc:[01]' | sort | uniq -c | tr -s ' ')" = " $1 zc:1" ]
}

copied() {
	show "show dataplane qualification" | grep -q "^$in .* copy  *by configuration$"
}

# There and back, short and long, and every byte of it. A guest that waits for its CPUs may lose some.
pings() {
	local to size
	for to in 10.$kind.2.2 fd00:$kind:2::2; do
		wait_for 20 ip netns exec c ping -c 1 -W 1 "$to"
		for size in 1400 10; do
			c ping -q -i 0.01 -c 100 -s $size -W 5 "$to" >/tmp/ping || true
			[ "$(sed -n 's/.* \([0-9]*\) received.*/\1/p' /tmp/ping)" -ge 90 ] || fail "$size bytes to $to: $(cat /tmp/ping) $(show "show dataplane")"
			! grep -q 'wrong\|DUP\|corrupt' /tmp/ping || fail "$size bytes to $to: $(cat /tmp/ping)"
		done
	done
}

# A file through TCP, both ways, unharmed.
files() {
	[ -f /tmp/file ] || dd if=/dev/urandom of=/tmp/file bs=64k count=32 2>/dev/null
	local to
	for to in 10.$kind.2.2 fd00:$kind:2::2; do
		rm -f /tmp/up
		s nc -l -p 9000 </tmp/file >/tmp/up &
		local listener=$!
		wait_for 10 sh -c "ip netns exec s ss -ltn | grep -q :9000"
		c timeout 60 nc -w 20 "$to" 9000 </tmp/file >/tmp/down || true
		wait $listener || true
		cmp /tmp/file /tmp/up || fail "what $to got is not what was sent"
		cmp /tmp/file /tmp/down || fail "what came from $to is not what was sent"
	done
}

# Nothing is on its way, and all of it is accounted for.
audited() {
	show "show dataplane audit | json" >/tmp/audit
	! grep -q '"\(xdp_to_worker\|worker\|forwarded_not_sent\|buffers_wrong\)": -*[1-9]' /tmp/audit
}

# everything KIND SOCKETS
everything() {
	topology "$1"
	start_rtrd
	configure "dataplane workers 2"
	cards
	trap '(configure "no interface $in" "no interface $out") || true; stop_rtrd' EXIT
	wait_for 60 zero_copy "$2"
	show "show dataplane qualification"
	pings
	files
	# Known flows whose worker gets no CPU for 50 ms are XDP's, as it shall be.
	[ "$(number forwarded)" -gt 1000 ] && [ "$(number forwarded)" -gt $((10 * $(number express))) ] ||
		fail "workers forwarded $(number forwarded), XDP $(number express)"

	# Both queues, and so both workers.
	s iperf3 -s -D
	wait_for 10 sh -c "ip netns exec s ss -ltn | grep -q :5201"
	c iperf3 -c 10.$kind.2.2 -P 8 -t 2 >/tmp/iperf || fail "$(cat /tmp/iperf)"
	show "show dataplane workers"
	[ "$(show "show dataplane workers | json" | grep -c '"packets": [1-9][0-9][0-9]')" = 2 ] || fail "a worker did nothing"

	# For the box itself, and what only the kernel can answer.
	c ping -q -c 5 -i 0.05 -W 5 10.$kind.1.1 || fail "the router does not answer"
	c ping -c 1 -t 1 -W 5 10.$kind.2.2 | grep -q 'Time to live exceeded' || fail "no word about a TTL that runs out"
	c ping -6 -c 1 -t 1 -W 5 fd00:$kind:2::2 | grep -q 'Hop limit' || fail "no word about a hop limit that runs out"
	c ping -q -R -c 10 -i 0.05 -W 5 10.$kind.2.2 || fail "packets with options do not come back"
	show "show dataplane" | grep -q 'punted: not-plain' || fail "nothing was punted: $(show "show dataplane")"
	wait_for 10 audited

	# A process that is killed: the next one has the cards the same way.
	kill -9 "$(pidof rtr-fastpath)"
	wait_for 60 zero_copy "$2"
	pings
	files
	wait_for 10 audited

	# Another mode, and back: the sockets are bound anew, and no buffer is lost.
	configure "interface $in" "dataplane zero-copy off" "exit"
	wait_for 60 copied
	pings
	configure "interface $in" "no dataplane zero-copy" "exit"
	wait_for 60 zero_copy "$2"
	pings
	wait_for 10 audited
	[ "$(show "show dataplane workers | json" | sed -n 's/^ *"\(free\|fill\|work\|tx\)": \([0-9]*\),*$/\2/p' | awk '{ n += $1 } END { print n }')" = 32768 ] ||
		fail "$(show "show dataplane workers | json")"

	# Translated: both cards are still there, and the client is another one for the server. The kernel's connection tracking
	# is a module here, whose functions XDP cannot call: such a policy is the kernel plane's.
	configure "ip access-list standard INSIDE" "permit any" "exit" \
		"ip nat inside source list INSIDE interface $out overload" \
		"interface $in" "ip nat inside" "exit" "interface $out" "ip nat outside" "exit"
	wait_for 30 sh -c "rtrctl -N guest -c 'show dataplane interfaces' | grep -q 'cannot ask this kernel'"
	ip -n s route del default
	c timeout 60 nc -w 20 10.$kind.2.2 5201 </dev/null || fail "no way through NAT"
	configure "no ip nat inside source list INSIDE interface $out overload" "no ip access-list standard INSIDE" \
		"interface $in" "no ip nat inside" "exit" "interface $out" "no ip nat outside" "exit"
	wait_for 60 zero_copy "$2"
}

t_igb() {
	modprobe igb || skip "no igb in this kernel"
	wait_for 20 sh -c "[ \$(ip -o link | grep -c '$(mac 1 1)\|$(mac 1 2)') = 2 ]"
	everything 1 4
}

t_virtio() {
	local n
	for n in 1 2; do
		ethtool -L "$(dev 2 $n)" combined 2
	done
	everything 2 4
}
