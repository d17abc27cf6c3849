/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All metrics, by the show command that prints them. */
#include "metrics/metrics.h"

static const struct metric interfaces[] = {
	{ "rtr_interface_up", "line_protocol", "1 when the interface can carry packets", 0 },
	{ "rtr_interface_mtu_bytes", "mtu", "Largest packet", 0 },
	{ "rtr_interface_flaps_total", "flaps", "Changes of the line since rtrd started", 0 },
	{ "rtr_interface_receive_packets_total", "counters/rx_packets", "Packets received", 0 },
	{ "rtr_interface_receive_bytes_total", "counters/rx_bytes", "Bytes received", 0 },
	{ "rtr_interface_receive_errors_total", "counters/rx_errors", "Receive errors", 0 },
	{ "rtr_interface_receive_drops_total", "counters/rx_dropped", "Received and dropped", 0 },
	{ "rtr_interface_receive_missed_total", "counters/rx_missed", "Missed by the NIC", 0 },
	{ "rtr_interface_receive_crc_errors_total", "counters/rx_crc", "Wrong checksums", 0 },
	{ "rtr_interface_receive_frame_errors_total", "counters/rx_frame", "Misaligned", 0 },
	{ "rtr_interface_receive_multicast_total", "counters/multicast", "Multicast packets", 0 },
	{ "rtr_interface_transmit_packets_total", "counters/tx_packets", "Packets sent", 0 },
	{ "rtr_interface_transmit_bytes_total", "counters/tx_bytes", "Bytes sent", 0 },
	{ "rtr_interface_transmit_errors_total", "counters/tx_errors", "Transmit errors", 0 },
	{ "rtr_interface_transmit_drops_total", "counters/tx_dropped", "Dropped at transmit", 0 },
	{ "rtr_interface_collisions_total", "counters/collisions", "Collisions", 0 },
	{ "rtr_interface_receive_bits_per_second", "rates/in_bps", "Mean rate", 0 },
	{ "rtr_interface_receive_packets_per_second", "rates/in_pps", "Mean rate", 0 },
	{ "rtr_interface_transmit_bits_per_second", "rates/out_bps", "Mean rate", 0 },
	{ "rtr_interface_transmit_packets_per_second", "rates/out_pps", "Mean rate", 0 },
};

static const struct metric nic_queues[] = {
	{ "rtr_interface_queue_packets_total", "packets", "Packets of a queue of a NIC", 0 },
	{ "rtr_interface_queue_bytes_total", "bytes", "Bytes of a queue of a NIC", 0 },
	{ "rtr_interface_queue_drops_total", "drops", "Lost at a queue of a NIC", 0 },
};

static const struct metric nic_counters[] = {
	{ "rtr_interface_queue_driver_total", ".", "What the driver counts by queue", 0 },
};

static const struct metric addresses[] = {
	{ "rtr_address_conflicts_total", "conflicts", "Frames of others with an address of ours",
	  0 },
};

static const struct metric neighbour_states[] = {
	{ "rtr_neighbours", ".", "ARP entries and IPv6 neighbours by state", 0 },
};

static const struct metric neighbours[] = {
	{ "rtr_neighbour_entries", "total", "Entries of this router", 0 },
	{ "rtr_neighbour_table_entries", "machine_entries", "Entries of the whole machine", 0 },
	{ "rtr_neighbour_table_limit", "limit", "Entries that the machine may have", 0 },
	{ "rtr_neighbour_table_full_total", "table_fulls", "Entries refused: table full", 0 },
	{ "rtr_neighbour_unresolved_total", "failed", "Neighbours that did not answer", 0 },
	{ "rtr_neighbour_alarm", "alarm", "1 while the table is nearly full", 0 },
};

static const struct metric conntrack[] = {
	{ "rtr_conntrack_entries", "count", "Tracked connections", 0 },
	{ "rtr_conntrack_limit", "max", "Connections that there may be", 0 },
	{ "rtr_conntrack_buckets", "buckets", "Size of the hash table", 0 },
	{ "rtr_conntrack_used_percent", "percent", "Fill of the table", 0 },
	{ "rtr_conntrack_peak", "peak", "Most connections that there were", 0 },
	{ "rtr_conntrack_new_per_second", "new_per_sec", "Rate of new connections", 0 },
	{ "rtr_conntrack_translated", "translated", "Connections with NAT", 0 },
	{ "rtr_conntrack_assured", "assured", "Connections that saw traffic both ways", 0 },
	{ "rtr_conntrack_fast", "fast", "Connections that the fast plane looks after", 0 },
	{ "rtr_conntrack_fast_mirrored", "fast_mirrored", "Of these, what the kernel holds too",
	  0 },
};

static const struct metric conntrack_states4[] = {
	{ "rtr_conntrack_state_entries_ipv4", "ipv4", "IPv4 connections by state", 0 },
	{ "rtr_conntrack_state_entries_ipv6", "ipv6", "IPv6 connections by state", 0 },
};

static const struct metric conntrack_cpus[] = {
	{ "rtr_conntrack_found_total", "found", "Entries found", 0 },
	{ "rtr_conntrack_invalid_total", "invalid", "Packets that cannot be tracked", 0 },
	{ "rtr_conntrack_insert_failed_total", "insert_failed", "Entries lost to a race", 0 },
	{ "rtr_conntrack_drops_total", "drop", "Packets dropped: no room for the entry", 0 },
	{ "rtr_conntrack_early_drops_total", "early_drop", "Entries that made room", 0 },
	{ "rtr_conntrack_errors_total", "error", "Packets with errors", 0 },
	{ "rtr_conntrack_search_restarts_total", "search_restart", "Lookups begun again", 0 },
	{ "rtr_conntrack_clash_resolved_total", "clash_resolve", "Races that were mended", 0 },
	{ "rtr_conntrack_chain_too_long_total", "chain_too_long", "Entries refused: long chain",
	  0 },
};

static const struct metric drops[] = {
	{ "rtr_firewall_drop_packets_total", "packets", "Dropped by the firewall, by reason", 0 },
	{ "rtr_firewall_drop_bytes_total", "bytes", "Dropped by the firewall, by reason", 0 },
};

static const struct metric firewall_log[] = {
	{ "rtr_firewall_log_starts_total", "starts", "Starts of rtr-logd", 0 },
	{ "rtr_firewall_log_packets_total", "packets", "Packets of lines with log, read", 0 },
	{ "rtr_firewall_log_unreadable_total", "unreadable", "Of no family, or too short", 0 },
	{ "rtr_firewall_log_lost_total", "lost", "Lost before they could be read", 0 },
};

static const struct metric hooks[] = {
	{ "rtr_firewall_hook_packets_total", "packets", "Packets of a chain that counts", 0 },
	{ "rtr_firewall_hook_bytes_total", "bytes", "Bytes of a chain that counts", 0 },
	{ "rtr_firewall_hook_rules", "rules", "Rules of a chain", 0 },
};

static const struct metric list_lines[] = {
	{ "rtr_access_list_match_packets_total", "matches", "Hits of a line", 0 },
	{ "rtr_access_list_match_bytes_total", "bytes", "Bytes of its hits", 0 },
};

static const struct metric classes[] = {
	{ "rtr_zone_class_match_packets_total", "matches", "Hits of a class of a zone pair", 0 },
	{ "rtr_zone_class_match_bytes_total", "bytes", "Bytes of its hits", 0 },
};

static const struct metric nat[] = {
	{ "rtr_nat_translations", "total", "Translations in use", 0 },
	{ "rtr_nat_translations_static", "static", "Of lines with fixed addresses", 0 },
	{ "rtr_nat_translations_dynamic", "dynamic", "Of connections", 0 },
	{ "rtr_nat_translations_extended", "extended", "With ports", 0 },
	{ "rtr_nat_hits_total", "hits", "Connections translated", 0 },
	{ "rtr_nat_misses_total", "misses", "Connections that found no translation", 0 },
};

static const struct metric nat_drops[] = {
	{ "rtr_nat_drop_packets_total", ".", "Dropped by address translation, by reason", 0 },
};

static const struct metric nat_lines[] = {
	{ "rtr_nat_line_connections_total", "connections", "Connections of a line", 0 },
};

static const struct metric nat_blocks[] = {
	{ "rtr_nat_blocks", "blocks_held", "Blocks of ports that hosts have", 0 },
	{ "rtr_nat_block_ports_used", "ports_used", "Ports of these in use", 0 },
	{ "rtr_nat_blocks_allocated_total", "allocated", "Blocks that hosts got", 0 },
	{ "rtr_nat_blocks_released_total", "released", "Blocks that are nobody's again", 0 },
	{ "rtr_nat_block_ports", "size", "Ports of a block", 0 },
	{ "rtr_nat_block_limit", "limit", "Blocks that a host may have", 0 },
};

static const struct metric nat_shares[] = {
	{ "rtr_nat_deterministic_hosts", "hosts", "Hosts that share a deterministic pool", 0 },
	{ "rtr_nat_deterministic_room", "room", "Hosts that there is room for", 0 },
	{ "rtr_nat_deterministic_hosts_per_address", "hosts_per_address", "Of these an address has",
	  0 },
	{ "rtr_nat_deterministic_fast_ports", "fast_ports", "Ports of a host on the fast plane",
	  0 },
	{ "rtr_nat_deterministic_kernel_ports", "kernel_ports", "Ports of a host in the kernel",
	  0 },
};

static const struct metric nat_pools[] = {
	{ "rtr_nat_pool_addresses", "total", "Addresses of a pool", 0 },
	{ "rtr_nat_pool_allocated", "allocated", "Addresses in use", 0 },
	{ "rtr_nat_pool_connections", "connections", "Connections in use", 0 },
	{ "rtr_nat_pool_used_percent", "percent", "Part of the addresses that is in use", 0 },
};

static const struct metric routes[] = {
	{ "rtr_routes", ".", "Routes by who made them", 0 },
};

static const struct metric tracks[] = {
	{ "rtr_track_up", "state=Up", "1 when the tracked object is up", 0 },
	{ "rtr_track_changes_total", "changes", "Changes of the object", 0 },
};

static const struct metric slas[] = {
	{ "rtr_sla_up", "reachability=Up", "1 when the probed host answers", 0 },
	{ "rtr_sla_successes_total", "successes", "Answers", 0 },
	{ "rtr_sla_over_threshold_total", "over_threshold", "Answers that took too long", 0 },
	{ "rtr_sla_failures_total", "failures", "Probes without an answer", 0 },
	{ "rtr_sla_round_trip_seconds", "rtt_ms", "Time of the last answer", 0.001 },
	{ "rtr_sla_round_trip_shortest_seconds", "rtt_min_ms", "Shortest time of an answer",
	  0.001 },
	{ "rtr_sla_round_trip_mean_seconds", "rtt_avg_ms", "Mean time of answers", 0.001 },
	{ "rtr_sla_round_trip_longest_seconds", "rtt_max_ms", "Longest time of an answer", 0.001 },
};

static const struct metric vrrps[] = {
	{ "rtr_vrrp_master", "state=MASTER", "1 when this router is the master", 0 },
	{ "rtr_vrrp_priority", "priority", "Priority in force", 0 },
	{ "rtr_vrrp_fault", "fault", "1 while it cannot be the master", 0 },
	{ "rtr_vrrp_sent_total", "counters/sent", "Adverts sent", 0 },
	{ "rtr_vrrp_sent_priority_zero_total", "counters/sent_priority_zero", "Resignations sent",
	  0 },
	{ "rtr_vrrp_received_total", "counters/received", "Adverts received", 0 },
	{ "rtr_vrrp_received_priority_zero_total", "counters/received_priority_zero",
	  "Resignations received", 0 },
	{ "rtr_vrrp_announcements_total", "counters/announcements", "Gratuitous ARP and ND", 0 },
	{ "rtr_vrrp_refused_total", "counters/refused", "Frames that the kernel refused to send",
	  0 },
	{ "rtr_vrrp_transitions_total", "counters/transitions", "Changes of state", 0 },
	{ "rtr_vrrp_became_master_total", "counters/became_master", "Times it became master", 0 },
	{ "rtr_vrrp_checksum_changes_total", "counters/checksum_changes",
	  "Changes of the peer's kind of checksum", 0 },
	{ "rtr_vrrp_longest_gap_seconds", "counters/max_gap_ms", "Longest time between adverts",
	  0.001 },
};

static const struct metric vrrp_drops[] = {
	{ "rtr_vrrp_dropped_total", ".", "Adverts dropped, by reason", 0 },
};

static const struct metric vrrpd[] = {
	{ "rtr_vrrpd_running", "running", "1 while rtr-vrrpd runs", 0 },
	{ "rtr_vrrpd_starts_total", "starts", "Starts of rtr-vrrpd", 0 },
	{ "rtr_vrrpd_withdrawn_total", "withdrawn", "Times its addresses were withdrawn", 0 },
	{ "rtr_vrrpd_stalls_total", "stalls", "Times it was late", 0 },
	{ "rtr_vrrpd_longest_stall_seconds", "max_stall_ms", "Most that it was late", 0.001 },
	{ "rtr_vrrpd_unknown_drops_total", "unknown_drops", "Adverts of no group", 0 },
	{ "rtr_vrrpd_leaving", "leaving", "Groups that resign at this moment", 0 },
	{ "rtr_vrrpd_beat_seconds", "beat_ms", "Since its last sign of life", 0.001 },
};

static const struct metric vrrpd_unknown[] = {
	{ "rtr_vrrpd_unknown_dropped_total", ".", "Adverts of no group, by reason", 0 },
};

static const struct metric ha[] = {
	{ "rtr_ha_ready", "ready", "1 when every group could take over", 0 },
	{ "rtr_ha_groups_ready", "ready_groups", "Groups that could take over", 0 },
	{ "rtr_ha_groups", "total_groups", "Groups", 0 },
};

static const struct metric ha_groups[] = {
	{ "rtr_ha_group_ready", "ready", "1 when the group could take over", 0 },
	{ "rtr_ha_takeover_seconds", "takeover_ms", "Time that it would take", 0.001 },
};

static const struct metric inspect[] = {
	{ "rtr_inspect_events_total", ".", "What reading of server names came to", 0 },
};

static const struct metric drift[] = {
	{ "rtr_degraded", "degraded", "1 while the kernel refuses the configuration", 0 },
	{ "rtr_repairs_total", "repairs", "Times that the kernel was mended", 0 },
	{ "rtr_repair_writes_total", "repair_writes", "Kernel writes of these", 0 },
};

static const struct metric commits[] = {
	{ "rtr_commits_total", "commits", "Changes made", 0 },
	{ "rtr_commits_refused_total", "refused", "Changes refused", 0 },
	{ "rtr_commits_undone_total", "undone", "Changes taken back: the kernel refused", 0 },
	{ "rtr_commit_seconds_total", "total_ms", "Time that changes took", 0.001 },
	{ "rtr_commit_last_seconds", "last_ms", "Time that the last one took", 0.001 },
};

static const struct metric version[] = {
	{ "rtr_uptime_seconds", "uptime_sec", "Since rtrd started", 0 },
	{ "rtr_configuration_revision", "revision", "Changes since boot", 0 },
	{ "rtr_kernel_writes_total", "kernel_writes", "Messages to the kernel", 0 },
	{ "rtr_memory_peak_bytes", "memory_kib", "Most memory that rtrd had", 1024 },
};

static const struct metric programs[] = {
	{ "rtr_program_starts_total", "starts", "Starts of a program", 0 },
	{ "rtr_program_restarts_total", "restarts", "Times that it ended by itself", 0 },
};

static const struct metric hosts[] = {
	{ "rtr_log_host_sent_total", "sent", "Lines sent to a log host", 0 },
	{ "rtr_log_host_lost_total", "lost", "Lines lost: its queue was full", 0 },
	{ "rtr_log_host_errors_total", "errors", "Errors of its socket", 0 },
	{ "rtr_log_host_queued", "queued", "Lines that wait", 0 },
	{ "rtr_log_host_open", "open", "1 while lines can be sent", 0 },
};

static const struct metric health[] = {
	{ "rtr_health_value", "value", "Key figures, in the unit of show health", 0 },
	{ "rtr_health_level", "level", "0 good, 1 bad, 2 very bad, -1 unknown", 0 },
};

static const struct metric lost[] = {
	{ "rtr_lost_packets_total", "packets", "Packets lost, by reason and place", 0 },
	{ "rtr_lost_packets_per_second", "pps", "Packets lost, by reason and place", 0 },
};

static const struct metric lost_how[] = {
	{ "rtr_lost_packets_traced", "traced", "1 while the kernel tells its own reasons", 0 },
	{ "rtr_lost_packets_unplaced_total", "unplaced",
	  "Packets lost at more places than are told apart", 0 },
};

static const struct metric capture_room[] = {
	{ "rtr_capture_free_bytes", "free_bytes", "Bytes that captures may still take", 0 },
};

static const struct metric captured[] = {
	{ "rtr_capture_packets_total", "captured", "Packets that a capture took", 0 },
	{ "rtr_capture_drops_total", "dropped_by_kernel", "Packets that it missed", 0 },
	{ "rtr_capture_bytes", "stored_bytes", "Bytes that it holds", 0 },
	{ "rtr_capture_stored_packets", "stored", "Packets that it holds", 0 },
	{ "rtr_capture_rotated_total", "rotated_away", "Packets that made room for others", 0 },
};

static const struct metric inspectd[] = {
	{ "rtr_inspectd_starts_total", "starts", "Starts of rtr-inspectd", 0 },
};

static const struct metric inspect_lines[] = {
	{ "rtr_inspect_line_connections_total", "connections",
	  "Connections that a server name of a line decided", 0 },
};

static const struct metric hairpins[] = {
	{ "rtr_nat_hairpin_total", "hairpin", "Connections turned round inside", 0 },
};

static const struct metric dataplane[] = {
	{ "rtr_fastpath_starts_total", "starts", "Starts of rtr-fastpath", 0 },
};

static const struct metric fast_ports[] = {
	{ "rtr_fastpath_express_packets_total", "express", "Forwarded by XDP alone", 0 },
	{ "rtr_fastpath_to_worker_packets_total", "to_worker", "Handed to a worker by XDP", 0 },
	{ "rtr_fastpath_to_kernel_packets_total", "to_kernel", "Left to the kernel by XDP", 0 },
	{ "rtr_fastpath_other_mac_packets_total", "to_kernel_other_mac",
	  "Of these, to another MAC address", 0 },
	{ "rtr_fastpath_unattended_packets_total", "unattended",
	  "What wanted a worker while none lived", 0 },
	{ "rtr_fastpath_receive_packets_total", "rx", "Received by workers", 0 },
	{ "rtr_fastpath_forwarded_packets_total", "forwarded", "Forwarded by workers", 0 },
	{ "rtr_fastpath_transmit_packets_total", "tx", "Sent by workers", 0 },
	{ "rtr_fastpath_made_packets_total", "made", "Sent by workers and not received", 0 },
	{ "rtr_fastpath_punted_packets_total", "punted", "Given to the kernel by workers", 0 },
	{ "rtr_fastpath_dropped_packets_total", "dropped", "Dropped by the fast plane", 0 },
	{ "rtr_fastpath_ring_full_total", "ring_full", "Packets that found a full ring", 0 },
	{ "rtr_fastpath_ring_dropped_total", "ring_dropped", "Packets lost before a ring", 0 },
	{ "rtr_fastpath_fill_empty_total", "fill_empty", "Times without buffers to fill", 0 },
	{ "rtr_fastpath_tx_invalid_total", "tx_invalid", "Descriptors that were refused", 0 },
};

static const struct metric fast_drops[] = {
	{ "rtr_fastpath_drop_packets_total", ".", "Dropped by the fast plane, by reason", 0 },
};

static const struct metric fast_punts[] = {
	{ "rtr_fastpath_punt_packets_total", ".", "Given to the kernel by workers, by reason", 0 },
};

static const struct metric fast_ifaces[] = {
	{ "rtr_fastpath_interface", "plane=fast", "1 when the fast plane forwards for it", 0 },
	{ "rtr_fastpath_interface_queues", "queues", "Its queues that workers read", 0 },
};

static const struct metric fast_memory[] = {
	{ "rtr_fastpath_flow_table_bytes", "flow_table_bytes", "Memory of the flow table", 0 },
	{ "rtr_fastpath_packet_buffer_bytes", "packet_buffer_bytes", "Memory of packets", 0 },
	{ "rtr_fastpath_route_table_bytes", "route_table_bytes", "Memory of routes", 0 },
	{ "rtr_fastpath_flows_ipv4", "flows_ipv4", "IPv4 flows", 0 },
	{ "rtr_fastpath_flows_ipv4_limit", "flows_ipv4_max", "IPv4 flows at most", 0 },
	{ "rtr_fastpath_flows_ipv6", "flows_ipv6", "IPv6 flows", 0 },
	{ "rtr_fastpath_flows_ipv6_limit", "flows_ipv6_max", "IPv6 flows at most", 0 },
	{ "rtr_fastpath_flows_inserted_total", "flows_inserted", "Flows begun", 0 },
	{ "rtr_fastpath_flows_freed_total", "flows_freed", "Flows ended", 0 },
	{ "rtr_fastpath_flows_evicted_total", "flows_evicted", "Flows ended for room", 0 },
	{ "rtr_fastpath_flows_refused_total", "flows_refused", "Flows without room", 0 },
	{ "rtr_fastpath_flows_adopted_total", "flows_adopted", "Flows found at a start", 0 },
	{ "rtr_fastpath_routes_ipv4", "routes_ipv4", "IPv4 routes", 0 },
	{ "rtr_fastpath_routes_ipv6", "routes_ipv6", "IPv6 routes", 0 },
	{ "rtr_fastpath_adjacencies", "adjacencies", "Next hops", 0 },
	{ "rtr_fastpath_adjacencies_limit", "adjacencies_max", "Next hops at most", 0 },
	{ "rtr_fastpath_adjacencies_ready", "adjacencies_ready", "Next hops with MAC", 0 },
	{ "rtr_fastpath_sweeps_total", "sweeps", "Times that flows were judged again", 0 },
	{ "rtr_fastpath_sweep_flows_total", "sweep_flows", "Flows judged again", 0 },
	{ "rtr_fastpath_sweep_changed_total", "sweep_changed", "Flows judged otherwise", 0 },
	{ "rtr_fastpath_sweep_seconds_total", "sweep_us", "Time that it took", 0.000001 },
	{ "rtr_fastpath_epoch", "epoch", "Number of the rules by which flows are judged", 0 },
};

static const struct metric fast_mirror[] = {
	{ "rtr_fastpath_mirror_held", "held", "Connections of the fast plane that the kernel holds",
	  0 },
	{ "rtr_fastpath_mirror_kernel_entries", "kernel_entries", "Entries of the kernel's table",
	  0 },
	{ "rtr_fastpath_mirror_kernel_limit", "kernel_entries_max", "Entries that it may have", 0 },
	{ "rtr_fastpath_mirror_waiting", "waiting",
	  "Connections without room in the kernel's table", 0 },
	{ "rtr_fastpath_mirror_lag_seconds", "lag_ms",
	  "Longest wait of a connection to be mirrored, beyond 2 s", 0.001 },
	{ "rtr_fastpath_mirror_written_total", "written", "Connections mirrored", 0 },
	{ "rtr_fastpath_mirror_renewed_total", "renewed", "Timeouts renewed in the kernel", 0 },
	{ "rtr_fastpath_mirror_ended_total", "ended", "Entries that ended with their flow", 0 },
	{ "rtr_fastpath_mirror_given_total", "given", "Connections handed over to the kernel", 0 },
	{ "rtr_fastpath_mirror_known_before_total", "known_before",
	  "Connections that the kernel had already", 0 },
	{ "rtr_fastpath_mirror_refused_total", "refused", "Entries that the kernel refused", 0 },
	{ "rtr_fastpath_mirror_found_alone_total", "found_alone",
	  "Entries found without a flow at a start", 0 },
};

static const struct metric fast_workers[] = {
	{ "rtr_fastpath_worker_packets_total", "packets", "Packets of a worker", 0 },
	{ "rtr_fastpath_worker_bursts_total", "bursts", "Bursts of a worker", 0 },
	{ "rtr_fastpath_worker_sleeps_total", "sleeps", "Times that it slept", 0 },
	{ "rtr_fastpath_worker_cpu_seconds_total", "cpu_ms", "Time that it ran", 0.001 },
	{ "rtr_fastpath_worker_flows_inserted_total", "flows_inserted", "Flows it began", 0 },
	{ "rtr_fastpath_worker_flows_refused_total", "flows_refused", "Flows without room", 0 },
	{ "rtr_fastpath_worker_flows_promoted_total", "promoted", "Flows given to XDP", 0 },
	{ "rtr_fastpath_worker_flows_forced_total", "forced",
	  "Of these, with packets that were perhaps on the way", 0 },
	{ "rtr_fastpath_worker_flows_reconciled_total", "reconciled",
	  "Flows whose lost packets were taken out of the count", 0 },
	{ "rtr_fastpath_worker_errors_lost_total", "icmp_errors_lost",
	  "ICMP errors that found no room", 0 },
	{ "rtr_fastpath_worker_injected_total", "injected", "Packets sent by a BPF program", 0 },
	{ "rtr_fastpath_worker_free_buffers", "buffers/free", "Buffers that wait", 0 },
	{ "rtr_fastpath_worker_fill_buffers", "buffers/fill", "Buffers that the NIC may fill", 0 },
	{ "rtr_fastpath_worker_work_buffers", "buffers/work", "Buffers in work", 0 },
	{ "rtr_fastpath_worker_tx_buffers", "buffers/tx", "Buffers that are being sent", 0 },
	{ "rtr_fastpath_worker_wrong_buffers", "buffers/wrong", "Buffers that nobody has", 0 },
	{ "rtr_fastpath_worker_queues", "queues", "Queues that it reads", 0 },
};

static const struct metric fast_unaccounted[] = {
	{ "rtr_fastpath_unaccounted_to_worker", "xdp_to_worker",
	  "Packets between XDP and workers: not 0 for long", 0 },
	{ "rtr_fastpath_unaccounted_in_worker", "worker",
	  "Packets that workers have: not 0 for long", 0 },
};

static const struct metric fast_audit[] = {
	{ "rtr_fastpath_forwarded_not_sent", "forwarded_not_sent",
	  "Packets forwarded and not sent: not 0 for long", 0 },
	{ "rtr_fastpath_buffers_wrong", "buffers_wrong", "Buffers that nobody has", 0 },
};

#define SOURCE(command, rows, labels, table)                                                       \
	{                                                                                          \
		command, rows, labels, table, ARRAY_LEN(table)                                     \
	}

const struct metric_source metric_sources[] = {
	SOURCE("show version", "", "", version),
	SOURCE("show commit statistics", "", "", commits),
	SOURCE("show kernel drift", "", "", drift),
	SOURCE("show programs", "[]", "program=program", programs),
	SOURCE("show health", "metrics/[]", "metric=metric item=item", health),
	SOURCE("show interfaces", "[]", "interface=name", interfaces),
	SOURCE("show interfaces queues", "[]/counters/[]",
	       "interface=name direction=direction queue=queue", nic_queues),
	SOURCE("show interfaces queues", "[]/counters/[]/counters/{}",
	       "interface=name direction=direction queue=queue counter=@", nic_counters),
	SOURCE("show ip interface", "[]/addresses/[]", "interface=name address=address", addresses),
	SOURCE("show ip arp summary", "states/{}", "family:ipv4 state=@", neighbour_states),
	SOURCE("show ip arp summary", "", "family:ipv4", neighbours),
	SOURCE("show ipv6 neighbors summary", "states/{}", "family:ipv6 state=@", neighbour_states),
	SOURCE("show ipv6 neighbors summary", "", "family:ipv6", neighbours),
	SOURCE("show ip route summary", "{}", "family:ipv4 protocol=@", routes),
	SOURCE("show ipv6 route summary", "{}", "family:ipv6 protocol=@", routes),
	SOURCE("show conntrack summary", "", "", conntrack),
	SOURCE("show conntrack summary", "states/[]", "protocol=protocol state=state",
	       conntrack_states4),
	SOURCE("show conntrack summary", "cpus/[]", "cpu=cpu", conntrack_cpus),
	SOURCE("show drops", "", "", lost_how),
	SOURCE("show drops", "drops/[]",
	       "reason=reason stage=stage interface=interface place=place", lost),
	SOURCE("show monitor capture", "", "", capture_room),
	SOURCE("show monitor capture", "captures/[]", "capture=name interface=interface", captured),
	SOURCE("show dataplane", "", "", dataplane),
	SOURCE("show dataplane", "counters/[]", "interface=name", fast_ports),
	SOURCE("show dataplane", "counters/[]/drops/{}", "interface=name reason=@", fast_drops),
	SOURCE("show dataplane", "counters/[]/punts/{}", "interface=name reason=@", fast_punts),
	SOURCE("show dataplane interfaces", "[]", "interface=name", fast_ifaces),
	SOURCE("show dataplane memory", "", "", fast_memory),
	SOURCE("show dataplane mirror", "", "", fast_mirror),
	SOURCE("show dataplane workers", "[]", "worker=worker", fast_workers),
	SOURCE("show dataplane audit", "", "", fast_audit),
	SOURCE("show dataplane audit", "unaccounted/[]", "interface=name", fast_unaccounted),
	SOURCE("show firewall drops", "{}", "reason=@", drops),
	SOURCE("show firewall log", "", "", firewall_log),
	SOURCE("show firewall hooks", "hooks/[]", "table=table chain=chain hook=hook family=family",
	       hooks),
	SOURCE("show access-lists", "[]/rules/[]", "list=name kind=kind seq=seq", list_lines),
	SOURCE("show policy-map type inspect zone-pair", "[]/classes/[]", "pair=name class=class",
	       classes),
	SOURCE("show inspect", "counters/{}", "event=@", inspect),
	SOURCE("show inspect", "", "", inspectd),
	SOURCE("show inspect", "lines/[]", "list=list line=line action=action name=name",
	       inspect_lines),
	SOURCE("show ip nat statistics", "", "family:ipv4", nat),
	SOURCE("show ip nat rules", "dropped/{}", "family:ipv4 reason=@", nat_drops),
	SOURCE("show ip nat rules", "", "family:ipv4", hairpins),
	SOURCE("show ip nat rules", "rules/[]", "family:ipv4 line=line", nat_lines),
	SOURCE("show ip nat pools", "[]", "family:ipv4 pool=name", nat_pools),
	SOURCE("show ip nat blocks", "", "family:ipv4", nat_blocks),
	SOURCE("show ip nat deterministic", "[]", "family:ipv4 pool=pool", nat_shares),
	SOURCE("show ipv6 nat statistics", "", "family:ipv6", nat),
	SOURCE("show ipv6 nat rules", "dropped/{}", "family:ipv6 reason=@", nat_drops),
	SOURCE("show ipv6 nat rules", "", "family:ipv6", hairpins),
	SOURCE("show ipv6 nat rules", "rules/[]", "family:ipv6 line=line", nat_lines),
	SOURCE("show ipv6 nat pools", "[]", "family:ipv6 pool=name", nat_pools),
	SOURCE("show ipv6 nat blocks", "", "family:ipv6", nat_blocks),
	SOURCE("show ipv6 nat deterministic", "[]", "family:ipv6 pool=pool", nat_shares),
	SOURCE("show track", "[]", "track=id", tracks),
	SOURCE("show ip sla statistics", "[]", "sla=id destination=destination", slas),
	SOURCE("show vrrp statistics", "[]", "interface=interface group=group family=family",
	       vrrps),
	SOURCE("show vrrp statistics", "[]/counters/drops/{}",
	       "interface=interface group=group family=family reason=@", vrrp_drops),
	SOURCE("show vrrp process", "", "", vrrpd),
	SOURCE("show vrrp process", "unknown_drops_by_reason/{}", "reason=@", vrrpd_unknown),
	SOURCE("show ha readiness", "", "", ha),
	SOURCE("show ha readiness", "groups/[]", "interface=interface group=group family=family",
	       ha_groups),
	SOURCE("show logging hosts", "[]", "host=address vrf=vrf transport=transport", hosts),
};
const size_t n_metric_sources = ARRAY_LEN(metric_sources);
