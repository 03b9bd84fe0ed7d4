/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sflow.h"

#include "base/table.h"

#define U32(name)                      \
	{                              \
#name, SFLOW_U32, NULL \
	}
#define U64(name)                      \
	{                              \
#name, SFLOW_U64, NULL \
	}
#define FLOAT(name)                      \
	{                                \
#name, SFLOW_FLOAT, NULL \
	}
#define TEXT(name)                      \
	{                               \
#name, SFLOW_TEXT, NULL \
	}
#define STRUCT(name, fields)                                       \
	{                                                          \
		name, fields, ARRAY_LEN(fields), ARRAY_LEN(fields) \
	}

/* --- flow data */

static const struct sflow_field header[] = {
	U32(header_protocol), U32(frame_length), U32(stripped), {"header", SFLOW_BYTES, NULL}};
static const struct sflow_field ethernet[] = {
	U32(length), {"src_mac", SFLOW_MAC, NULL}, {"dst_mac", SFLOW_MAC, NULL}, U32(ether_type)};
static const struct sflow_field ipv4[] = {U32(length),
					  U32(protocol),
					  {"src", SFLOW_IPV4, NULL},
					  {"dst", SFLOW_IPV4, NULL},
					  U32(src_port),
					  U32(dst_port),
					  U32(tcp_flags),
					  U32(tos)};
static const struct sflow_field ipv6[] = {U32(length),
					  U32(protocol),
					  {"src", SFLOW_IPV6, NULL},
					  {"dst", SFLOW_IPV6, NULL},
					  U32(src_port),
					  U32(dst_port),
					  U32(tcp_flags),
					  U32(priority)};
static const struct sflow_field vlans[] = {U32(src_vlan), U32(src_priority), U32(dst_vlan), U32(dst_priority)};
static const struct sflow_field router[] = {{"next_hop", SFLOW_ADDRESS, NULL}, U32(src_mask_bits), U32(dst_mask_bits)};

static const struct sflow_field number[] = {{NULL, SFLOW_U32, NULL}};
static const struct sflow_struct numbers = STRUCT(NULL, number);
static const struct sflow_field segment[] = {U32(type), {"as", SFLOW_LIST, &numbers}};
static const struct sflow_struct segments = STRUCT(NULL, segment);
static const struct sflow_field gateway[] = {{"next_hop", SFLOW_ADDRESS, NULL},
					     U32(as),
					     U32(src_as),
					     U32(src_peer_as),
					     {"dst_as_path", SFLOW_LIST, &segments},
					     {"communities", SFLOW_LIST, &numbers},
					     U32(local_pref)};
static const struct sflow_field user[] = {U32(src_charset), TEXT(src_user), U32(dst_charset), TEXT(dst_user)};
static const struct sflow_field socket4[] = {
	U32(protocol), {"local", SFLOW_IPV4, NULL}, {"remote", SFLOW_IPV4, NULL}, U32(local_port), U32(remote_port)};
static const struct sflow_field socket6[] = {
	U32(protocol), {"local", SFLOW_IPV6, NULL}, {"remote", SFLOW_IPV6, NULL}, U32(local_port), U32(remote_port)};
static const struct sflow_field tcp_info[] = {U32(direction),  U32(snd_mss),  U32(rcv_mss),    U32(unacked),
					      U32(lost),       U32(retrans),  U32(path_mtu),   U32(rtt_us),
					      U32(rtt_var_us), U32(snd_cwnd), U32(reordering), U32(min_rtt_us)};
static const struct sflow_field entities[] = {U32(src_class), U32(src_index), U32(dst_class), U32(dst_index)};

/* --- counter data */

static const struct sflow_field interface[] = {
	U32(index),         U32(type),         U64(speed),        U32(direction),    U32(status),
	U64(in_octets),     U32(in_unicast),   U32(in_multicast), U32(in_broadcast), U32(in_discards),
	U32(in_errors),     U32(in_unknown),   U64(out_octets),   U32(out_unicast),  U32(out_multicast),
	U32(out_broadcast), U32(out_discards), U32(out_errors),   U32(promiscuous)};
static const struct sflow_field host_descr[] = {
	TEXT(hostname), {"uuid", SFLOW_UUID, NULL}, U32(machine_type), U32(os_name), TEXT(os_release)};
static const struct sflow_field mac[] = {{NULL, SFLOW_MAC, NULL}};
static const struct sflow_struct macs = STRUCT(NULL, mac);
static const struct sflow_field adapter[] = {U32(if_index), {"macs", SFLOW_LIST, &macs}};
static const struct sflow_struct adapters = STRUCT(NULL, adapter);
static const struct sflow_field host_adapters[] = {{"adapters", SFLOW_LIST, &adapters}};
static const struct sflow_field host_parent[] = {U32(container_class), U32(container_index)};
static const struct sflow_field host_cpu[] = {
	FLOAT(load_1), FLOAT(load_5),     FLOAT(load_15),  U32(running),    U32(processes),        U32(cpus),
	U32(mhz),      U32(uptime_s),     U32(user_ms),    U32(nice_ms),    U32(system_ms),        U32(idle_ms),
	U32(wait_ms),  U32(irq_ms),       U32(softirq_ms), U32(interrupts), U32(context_switches), U32(steal_ms),
	U32(guest_ms), U32(guest_nice_ms)};
static const struct sflow_field host_memory[] = {U64(total),     U64(free),       U64(shared),    U64(buffers),
						 U64(cached),    U64(swap_total), U64(swap_free), U32(pages_in),
						 U32(pages_out), U32(swap_in),    U32(swap_out)};
static const struct sflow_field host_disk[] = {U64(total),  U64(free),          U32(fullest_part),
					       U32(reads),  U64(bytes_read),    U32(read_ms),
					       U32(writes), U64(bytes_written), U32(write_ms)};
static const struct sflow_field host_net[] = {U64(bytes_in),  U32(packets_in),  U32(errors_in),  U32(drops_in),
					      U64(bytes_out), U32(packets_out), U32(errors_out), U32(drops_out)};
static const struct sflow_field host_ip[] = {
	U32(forwarding),     U32(default_ttl),       U32(in_receives),   U32(in_hdr_errors), U32(in_addr_errors),
	U32(forw_datagrams), U32(in_unknown_protos), U32(in_discards),   U32(in_delivers),   U32(out_requests),
	U32(out_discards),   U32(out_no_routes),     U32(reasm_timeout), U32(reasm_reqds),   U32(reasm_oks),
	U32(reasm_fails),    U32(frag_oks),          U32(frag_fails),    U32(frag_creates)};
static const struct sflow_field host_icmp[] = {U32(in_msgs),           U32(in_errors),          U32(in_dest_unreachs),
					       U32(in_time_excds),     U32(in_param_probs),     U32(in_src_quenchs),
					       U32(in_redirects),      U32(in_echos),           U32(in_echo_reps),
					       U32(in_timestamps),     U32(in_addr_masks),      U32(in_addr_mask_reps),
					       U32(out_msgs),          U32(out_errors),         U32(out_dest_unreachs),
					       U32(out_time_excds),    U32(out_param_probs),    U32(out_src_quenchs),
					       U32(out_redirects),     U32(out_echos),          U32(out_echo_reps),
					       U32(out_timestamps),    U32(out_timestamp_reps), U32(out_addr_masks),
					       U32(out_addr_mask_reps)};
static const struct sflow_field host_tcp[] = {U32(rto_algorithm), U32(rto_min),      U32(rto_max),
					      U32(max_conn),      U32(active_opens), U32(passive_opens),
					      U32(attempt_fails), U32(estab_resets), U32(curr_estab),
					      U32(in_segs),       U32(out_segs),     U32(retrans_segs),
					      U32(in_errs),       U32(out_rsts),     U32(in_csum_errors)};
static const struct sflow_field host_udp[] = {U32(in_datagrams),  U32(no_ports),      U32(in_errors),
					      U32(out_datagrams), U32(rcvbuf_errors), U32(sndbuf_errors),
					      U32(in_csum_errors)};
static const struct sflow_field virt_node[] = {U32(mhz), U32(cpus), U64(memory), U64(memory_free), U32(domains)};
static const struct sflow_field virt_cpu[] = {U32(state), U32(cpu_ms), U32(cpus)};
static const struct sflow_field virt_memory[] = {U64(memory), U64(memory_max)};
static const struct sflow_field virt_disk[] = {U64(capacity),   U64(allocation), U64(available),     U32(reads),
					       U64(bytes_read), U32(writes),     U64(bytes_written), U32(errors)};

static const struct {
	uint32_t format;
	uint8_t kind; /* FLOW: of discarded packets too */
	struct sflow_struct s;
} records[] = {
	{1, WIRE_KIND_FLOW, STRUCT("sampled_header", header)},
	{2, WIRE_KIND_FLOW, STRUCT("sampled_ethernet", ethernet)},
	{3, WIRE_KIND_FLOW, STRUCT("sampled_ipv4", ipv4)},
	{4, WIRE_KIND_FLOW, STRUCT("sampled_ipv6", ipv6)},
	{1001, WIRE_KIND_FLOW, STRUCT("extended_switch", vlans)},
	{1002, WIRE_KIND_FLOW, STRUCT("extended_router", router)},
	{1003, WIRE_KIND_FLOW, STRUCT("extended_gateway", gateway)},
	{1004, WIRE_KIND_FLOW, STRUCT("extended_user", user)},
	{2100, WIRE_KIND_FLOW, STRUCT("extended_socket_ipv4", socket4)},
	{2101, WIRE_KIND_FLOW, STRUCT("extended_socket_ipv6", socket6)},
	{2102, WIRE_KIND_FLOW, STRUCT("extended_proxy_socket_ipv4", socket4)},
	{2103, WIRE_KIND_FLOW, STRUCT("extended_proxy_socket_ipv6", socket6)},
	{2209, WIRE_KIND_FLOW, STRUCT("extended_tcp_info", tcp_info)},
	{2210, WIRE_KIND_FLOW, STRUCT("extended_entities", entities)},
	{1, WIRE_KIND_COUNTERS, STRUCT("if_counters", interface)},
	{2000, WIRE_KIND_COUNTERS, STRUCT("host_descr", host_descr)},
	{2001, WIRE_KIND_COUNTERS, STRUCT("host_adapters", host_adapters)},
	{2002, WIRE_KIND_COUNTERS, STRUCT("host_parent", host_parent)},
	{2003, WIRE_KIND_COUNTERS, {"host_cpu", host_cpu, ARRAY_LEN(host_cpu), ARRAY_LEN(host_cpu) - 3}},
	{2004, WIRE_KIND_COUNTERS, STRUCT("host_memory", host_memory)},
	{2005, WIRE_KIND_COUNTERS, STRUCT("host_disk_io", host_disk)},
	{2006, WIRE_KIND_COUNTERS, STRUCT("host_net_io", host_net)},
	{2007, WIRE_KIND_COUNTERS, STRUCT("mib2_ip", host_ip)},
	{2008, WIRE_KIND_COUNTERS, STRUCT("mib2_icmp", host_icmp)},
	{2009, WIRE_KIND_COUNTERS, STRUCT("mib2_tcp", host_tcp)},
	{2010, WIRE_KIND_COUNTERS, STRUCT("mib2_udp", host_udp)},
	{2100, WIRE_KIND_COUNTERS, STRUCT("virt_node", virt_node)},
	{2101, WIRE_KIND_COUNTERS, STRUCT("virt_cpu", virt_cpu)},
	{2102, WIRE_KIND_COUNTERS, STRUCT("virt_memory", virt_memory)},
	{2103, WIRE_KIND_COUNTERS, STRUCT("virt_disk_io", virt_disk)},
	{2104, WIRE_KIND_COUNTERS, STRUCT("virt_net_io", host_net)},
};

const struct sflow_struct *sflow_record(enum wire_kind kind, uint32_t format)
{
	if (kind == WIRE_KIND_DISCARD)
		kind = WIRE_KIND_FLOW;
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		if (records[i].format == format && records[i].kind == kind)
			return &records[i].s;
	}
	return NULL;
}

bool sflow_table(unsigned i, enum wire_kind *ret_kind, uint32_t *ret_format, const struct sflow_struct **ret)
{
	if (i >= ARRAY_LEN(records))
		return false;
	*ret_kind = records[i].kind;
	*ret_format = records[i].format;
	*ret = &records[i].s;
	return true;
}

static bool fixed(struct cursor *c, size_t n, size_t padded, struct sflow_value *ret)
{
	const uint8_t *p = cursor_take(c, padded);

	ret->bytes = (struct str){(const char *)p, p ? n : 0};
	return p;
}

bool sflow_value(struct cursor *c, enum sflow_type type, struct sflow_value *ret)
{
	uint32_t v;

	switch (type) {
	case SFLOW_U32:
	case SFLOW_LIST:
		ret->n = cursor_u32(c);
		return !c->err;
	case SFLOW_U64:
		ret->n = cursor_u64(c);
		return !c->err;
	case SFLOW_FLOAT:
		v = cursor_u32(c);
		memcpy(&ret->f, &v, 4);
		return !c->err;
	case SFLOW_MAC:
		return fixed(c, 6, 8, ret);
	case SFLOW_UUID:
		return fixed(c, 16, 16, ret);
	case SFLOW_IPV4:
		if (!fixed(c, 4, 4, ret))
			return false;
		ret->ip = ip_from_v4((const uint8_t *)ret->bytes.p);
		return true;
	case SFLOW_IPV6:
		if (!fixed(c, 16, 16, ret))
			return false;
		memcpy(ret->ip.b, ret->bytes.p, 16);
		return true;
	case SFLOW_ADDRESS:
		return wire_address(c, &ret->ip) == WIRE_OK;
	case SFLOW_TEXT:
	case SFLOW_BYTES:
		ret->bytes = cursor_opaque(c);
		return !c->err;
	}
	return false;
}
