# Connection tracking where the namespace is the machine's own: the table's size can be set, and
# tracking is a module that rtrd has loaded.

t_size() {
	local before_max before_buckets
	start_rtrd
	wait_for 10 sh -c "test \$(cat /proc/sys/net/netfilter/nf_conntrack_acct) = 1"
	test "$(cat /proc/sys/net/netfilter/nf_conntrack_timestamp)" = 1
	before_max=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
	before_buckets=$(cat /proc/sys/net/netfilter/nf_conntrack_buckets)
	configure "ip firewall conntrack max 5000" "ip firewall conntrack buckets 2048" \
		"ip firewall timeout udp stream 200"
	wait_for 10 sh -c "test \$(cat /proc/sys/net/netfilter/nf_conntrack_max) = 5000"
	test "$(cat /proc/sys/net/netfilter/nf_conntrack_buckets)" = 2048
	test "$(cat /proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream)" = 200
	rtrctl -N guest -c "show conntrack summary" | grep -q "of 5000 (0 %).*hash buckets 2048"
	configure "no ip firewall conntrack max" "no ip firewall conntrack buckets" \
		"no ip firewall timeout udp stream"
	wait_for 10 sh -c "test \$(cat /proc/sys/net/netfilter/nf_conntrack_max) = $before_max"
	test "$(cat /proc/sys/net/netfilter/nf_conntrack_buckets)" = "$before_buckets"
}
