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
