# The guest's kernel has what these tests are here for, and the machine's kernel may not.

t_vlan() {
	ip link add link eth0 name eth0.7 type vlan id 7
	ip -d link show eth0.7 | grep -q "vlan protocol 802.1Q id 7"
	ip link del eth0.7
}

t_vrf() {
	ip link add blue type vrf table 100
	ip -d link show blue | grep -q "vrf table 100"
	ip link del blue
}

t_dummy() {
	ip link add d0 type dummy
	ip link del d0
}

t_fq_codel() {
	ip link add d1 type dummy
	tc qdisc replace dev d1 root fq_codel
	tc qdisc show dev d1 | grep -q fq_codel
	ip link del d1
}

t_nft_flowtable() {
	nft add table inet t
	nft 'add flowtable inet t f { hook ingress priority 0; devices = { eth0 }; }'
	nft list flowtables | grep -q eth0
	nft delete table inet t
}

# Two network cards on one cable: what goes out of one comes in on the other.
t_cable() {
	ip netns add peer
	ip link set eth1 netns peer
	ip link set eth0 up
	ip addr add 10.200.0.1/24 dev eth0
	ip -n peer link set eth1 up
	ip -n peer addr add 10.200.0.2/24 dev eth1
	wait_for 10 ping -c 1 -W 1 10.200.0.2
	ip addr flush dev eth0
	ip netns exec peer ip link set eth1 netns 1
	ip netns del peer
}
