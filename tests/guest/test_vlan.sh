# A VLAN subinterface configured through rtrd carries tagged frames to a peer that speaks plain Linux.

t_subinterface() {
	start_rtrd
	configure "interface eth0" "no shutdown" "exit" \
		"interface eth0.100" "encapsulation dot1Q 100" "ip address 10.0.100.1 255.255.255.0" "no shutdown"
	wait_for 10 sh -c "ip -d link show eth0.100 | grep -q 'vlan protocol 802.1Q id 100'"
	wait_for 10 sh -c "ip addr show dev eth0.100 | grep -q 'inet 10.0.100.1/24'"
	ip netns add peer
	ip link set eth1 netns peer
	ip -n peer link set eth1 up
	ip -n peer link add link eth1 name tagged type vlan id 100
	ip -n peer addr add 10.0.100.2/24 dev tagged
	ip -n peer link set tagged up
	wait_for 10 ip netns exec peer ping -c 1 -W 1 10.0.100.1
	configure "no interface eth0.100"
	wait_for 10 sh -c "! ip link show eth0.100"
	ip netns exec peer ip link set eth1 netns 1
	ip netns del peer
}
