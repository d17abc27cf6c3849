# Interfaces of kinds that the machine's kernel may lack: dummy loopbacks, VLAN subinterfaces.

t_loopback() {
	start_rtrd
	configure "interface Loopback5" "ip address 10.5.5.5 255.255.255.255" "ipv6 address fd05::5/128"
	wait_for 10 sh -c "ip -d link show Loopback5 | grep -q dummy"
	wait_for 10 sh -c "ip addr show Loopback5 | grep -q 'inet 10.5.5.5/32'"
	wait_for 10 sh -c "ip addr show Loopback5 | grep -q 'inet6 fd05::5/128'"
	ip link show Loopback5 | grep -q "altname rtr.guest.Loopback5"
	configure "ip route 10.6.0.0 255.255.0.0 Loopback5"
	wait_for 10 sh -c "ip route show 10.6.0.0/16 | grep -q 'dev Loopback5'"
	configure "no ip route 10.6.0.0 255.255.0.0 Loopback5" "no interface Loopback5"
	wait_for 10 sh -c "! ip link show Loopback5"
}

t_vlan_changes() {
	start_rtrd
	configure "interface eth0" "no shutdown" \
		"interface eth0.7" "encapsulation dot1Q 7" "ip address 10.0.7.1 255.255.255.0" \
		"interface eth0.8" "encapsulation dot1Q 8" "mtu 1300"
	wait_for 10 sh -c "ip link show eth0.7 | grep -q 'state UP'"
	wait_for 10 sh -c "ip link show eth0.8 | grep -q 'mtu 1300.*state UP'"
	# The parent's MTU is the subinterface's, down and up again.
	configure "interface eth0" "mtu 1400"
	wait_for 10 sh -c "ip link show eth0.7 | grep -q 'mtu 1400'"
	configure "interface eth0" "no mtu"
	wait_for 10 sh -c "ip link show eth0.7 | grep -q 'mtu 1500'"
	ip link show eth0.8 | grep -q "mtu 1300"
	# A number is changed, and then wanted by another name.
	configure "interface eth0.7" "encapsulation dot1Q 77"
	wait_for 10 sh -c "ip -d link show eth0.7 | grep -q 'id 77'"
	wait_for 10 sh -c "ip addr show eth0.7 | grep -q 'inet 10.0.7.1/24'"
	configure "no interface eth0.7" "interface eth0.9" "encapsulation dot1Q 77"
	wait_for 10 sh -c "ip -d link show eth0.9 | grep -q 'id 77'"
	! ip link show eth0.7 2>/dev/null
	# The kernel takes subinterfaces down with their parent; one that is shut stays down after.
	configure "interface eth0.8" "shutdown" "interface eth0" "shutdown"
	wait_for 10 sh -c "! ip link show eth0.9 | grep -q ',UP'"
	configure "interface eth0" "no shutdown"
	wait_for 10 sh -c "ip link show eth0.9 | grep -q ',UP'"
	wait_for 10 sh -c "! ip link show eth0.8 | grep -q ',UP'"
	# Somebody deletes it: it comes back.
	ip link del eth0.9
	wait_for 10 sh -c "ip -d link show eth0.9 | grep -q 'id 77'"
	configure "no interface eth0.8" "no interface eth0.9"
	wait_for 10 sh -c "! ip link show eth0.8"
	wait_for 10 sh -c "! ip link show eth0.9"
	configure "no interface eth0"
}

t_vlan_before_parent() {
	start_rtrd
	configure "interface late0" "no shutdown" "interface late0.5" "encapsulation dot1Q 5" \
		"ip address 10.0.5.1 255.255.255.0"
	ip link add late0 type veth peer name late1
	wait_for 10 sh -c "ip addr show late0.5 | grep -q 'inet 10.0.5.1/24'"
	configure "no interface late0.5" "no interface late0"
	ip link del late0
}
