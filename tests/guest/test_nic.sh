# Rings, queues and offloads on a driver that has them.

show() {
	rtrctl -N guest -c "$1"
}

t_virtio() {
	start_rtrd
	show "show interfaces eth0 queues" | grep -q 'Queues: 1 combined'
	show "show interfaces eth0 queues" | grep -q 'Rings: receive [1-9]'
	configure "interface eth0" "offload gro off"
	wait_for 5 sh -c "ethtool -k eth0 | grep -q 'generic-receive-offload: off'"
	rtrctl -N guest -c "configure terminal" -c "interface eth0" -c "ring rx 100000" -c end 2>&1 | grep -q 'hold at most'
	rtrctl -N guest -c "configure terminal" -c "interface eth0" -c "hardware-queue 9" -c end 2>&1 | grep -q '1 queues at most'
	# Queues are judged by the number that is asked for.
	rtrctl -N guest -c "configure candidate" -c "interface eth0" -c "hardware-queue 1" -c "queue 3 rps 0" -c commit -c end 2>&1 |
		grep -q 'gets 1 queues by its "hardware-queue": the last one is 0'
	configure "no interface eth0"
	wait_for 5 sh -c "ethtool -k eth0 | grep -q 'generic-receive-offload: on'"
}

# Where the driver can change its rings (virtio 1.2, Linux 6.0 and a host that offers it).
t_rings() {
	start_rtrd
	ethtool -G eth1 rx 128 2>/dev/null || skip "this virtio has rings of one size"
	ethtool -G eth1 rx 256
	configure "interface eth1" "ring rx 128"
	wait_for 5 sh -c "ethtool -g eth1 | sed -n '/Current/,\$p' | grep -q 'RX:.*128'"
	show "show kernel drift" | grep -q 'kernel matches'
	configure "no interface eth1"
	wait_for 5 sh -c "ethtool -g eth1 | sed -n '/Current/,\$p' | grep -q 'RX:.*256'"
}

# The hash key, and both directions of a flow in one queue.
t_rss() {
	start_rtrd
	show "show interfaces eth2 rss" | grep -q 'Hash key' || skip "this driver and host have no RSS"
	show "show interfaces eth2 rss" >/tmp/before
	configure "interface eth2" "rss key symmetric"
	wait_for 5 sh -c "rtrctl -N guest -c 'show interfaces eth2 rss' | grep -q 'Hash key 6d:5a:6d:5a:.*:6d:5a'"
	show "show interfaces eth2 rss" | grep -q 'meet in one queue'
	ethtool -x eth2 | grep -q '6d:5a:6d:5a'
	show "show kernel drift" | grep -q 'kernel matches'
	rtrctl -N guest -c "configure terminal" -c "interface eth2" -c "rss key 01:02" -c end 2>&1 | grep -q 'hash key of eth2 has 40 bytes'
	configure "no interface eth2"
	wait_for 5 sh -c "rtrctl -N guest -c 'show interfaces eth2 rss' | cmp -s - /tmp/before"
}

# Interrupts of queues go to the CPUs that the lines say, and back.
t_interrupts() {
	local irqs irq before
	start_rtrd
	modprobe e1000e
	wait_for 10 ip link show eth3
	ip link set eth3 up
	for dev in eth0 eth3; do
		ip link set $dev up
		wait_for 10 sh -c "rtrctl -N guest -c 'show interfaces $dev queues' | grep -q '^0  *[0-9]'"
		# A queue may have an interrupt for each direction; what each had before comes back.
		irqs=$(show "show interfaces $dev queues" | sed -n 's/^0  *\([0-9,]*\).*/\1/p' | tr , ' ')
		before=1
		for irq in $irqs; do
			echo $before >/proc/irq/$irq/smp_affinity
			before=$((3 - before))
		done
		[ $dev != eth0 ] || [ "${irqs#* }" != "$irqs" ] || fail "queue 0 of $dev has the interrupts $irqs"
		configure "interface $dev" "queue 0 cpu 1"
		for irq in $irqs; do
			wait_for 5 sh -c "[ \$(cat /proc/irq/$irq/smp_affinity) = 2 ]"
		done
		show "show interfaces $dev queues" | grep -q '^0  *[0-9,]*  *1 '
		show "show kernel drift" | grep -q 'kernel matches'
		configure "interface $dev" "queue 0 cpu 0"
		for irq in $irqs; do
			wait_for 5 sh -c "[ \$(cat /proc/irq/$irq/smp_affinity) = 1 ]"
		done
		rtrctl -N guest -c "configure terminal" -c "interface $dev" -c "queue 0 xps 0" -c end 2>&1 | grep -q 'one transmit queue'
		rtrctl -N guest -c "configure terminal" -c "interface $dev" -c "queue 5 cpu 0" -c end 2>&1 | grep -q 'no interrupt of a queue 5'
		configure "no interface $dev"
		before=1
		for irq in $irqs; do
			wait_for 5 sh -c "[ \$(cat /proc/irq/$irq/smp_affinity) = $before ]"
			before=$((3 - before))
		done
		wait_for 5 sh -c "rtrctl -N guest -c 'show kernel drift' | grep -q 'kernel matches'"
	done
	modprobe -r e1000e
}

# What the driver counts by queue is what went through it.
t_counters() {
	start_rtrd
	show "show interfaces eth0 queues" | grep -q '^tx 0  *[0-9]' || skip "this driver counts nothing by queue"
	ip netns add peer
	ip link set eth1 netns peer
	ip -n peer link set eth1 up
	ip -n peer addr add 10.0.0.2/24 dev eth1
	configure "interface eth0" "ip address 10.0.0.1/24"
	wait_for 10 ping -c 1 -W 1 10.0.0.2
	before=$(show "show interfaces eth0 queues" | sed -n 's/^tx 0  *\([0-9]*\).*/\1/p')
	ping -c 10 -i 0.05 -W 2 10.0.0.2
	after=$(show "show interfaces eth0 queues" | sed -n 's/^tx 0  *\([0-9]*\).*/\1/p')
	[ $((after - before)) -ge 10 ] || fail "queue 0 sent $before, then $after"
	configure "no interface eth0"
	ip netns exec peer ip link set eth1 netns 1
	ip netns del peer
}

# Packets that LRO glues together cannot be routed: off on a port that routes, whoever turns it on.
t_lro() {
	lro() {
		ethtool -k eth3 | sed -n 's/^large-receive-offload: \([a-z]*\).*/\1/p'
	}
	# Where packets are routed the kernel makes a new link without it.
	echo 0 >/proc/sys/net/ipv4/ip_forward
	echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
	modprobe vmxnet3
	wait_for 10 ip link show eth3
	[ "$(lro)" = on ] || fail "this driver has no LRO: $(lro)"
	start_rtrd
	configure "interface eth3" "ip address 10.0.3.1/24"
	wait_for 5 sh -c "ethtool -k eth3 | grep -q '^large-receive-offload: off$'"
	ethtool -K eth3 lro on
	configure "interface eth3" "description a look at it"
	wait_for 5 sh -c "ethtool -k eth3 | grep -q '^large-receive-offload: off$'"
	show "show interfaces eth3 offload" | grep -q '^lro  *rx-lro  *off'
	configure "no interface eth3"
	stop_rtrd
	trap - EXIT
	modprobe -r vmxnet3
}
