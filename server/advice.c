/* SPDX-License-Identifier: Apache-2.0 */
#include "server/advice.h"

#include <string.h>

#include "base/table.h"

static const struct {
	const char *likely, *next;
} hops[HEALTH_HOPS] = {
	[HEALTH_KERNEL] =
		{"the kernel counted connections the agent's program did not see: other network namespaces are left "
		 "out (--netns), the agent runs without BPF, or interrupts met the hook",
		 "skyfall-agent --features"},
	[HEALTH_AGENT] = {"an agent measured rows and did not send them: its tables were full, or sending failed",
			  "skyfall hosts"},
	[HEALTH_NETWORK] =
		{"datagrams did not arrive: the collector was away, its socket's queue overflowed, or the network "
		 "dropped them",
		 "skyfall dump --udp :6343 on the collector's host (with the collector stopped) shows what comes in"},
	[HEALTH_COLLECTOR] =
		{"the collector took rows in and did not pass them on: its table was full or its bus refused",
		 "curl -s API/metrics | grep skyfall_collector"},
	[HEALTH_BUS] = {"messages were lost between collector and graph: the bus was full, or one of them restarted",
			"curl -s API/metrics | grep -E 'bus|collector'"},
	[HEALTH_PAIR] =
		{"the pair stage did not pass on what it read: rows too late to be joined, or messages it could not "
		 "read",
		 "curl -s API/metrics | grep skyfall_graph"},
	[HEALTH_GRAPH_BUS] = {"partial sums were lost between the two stages of the graph",
			      "curl -s API/metrics | grep skyfall_graph"},
	[HEALTH_EDGE] = {"the edge stage did not pass on what it read", "curl -s API/metrics | grep skyfall_graph"},
	[HEALTH_STORE_BUS] = {"edges were lost between graph and store: the bus was full, or the server was away",
			      "curl -s API/metrics | grep skyfall_store"},
	[HEALTH_STORE] = {"the store did not write what it read: is the disk full?", "df -h on the data folder"},
	[HEALTH_STORED] =
		{"rows that were written are not in the files: retention took them, or a file was changed from "
		 "outside",
		 "the server's log"},
};

/* Each reason a ledger line or the chain can name. */
static const struct {
	const char *reason, *text;
} losses[] = {
	{"socks_full",
	 "the agent's table of open sockets was full: such connections were counted whole at their end only"},
	{"closed_full", "the agent's list of ended connections was full: what they did since the last walk is missing"},
	{"destroys_dropped",
	 "the kernel had no room for messages about ended connections (mode stable): what they did since the last dump is missing"},
	{"update_failed",
	 "the kernel refused an entry in one of the agent's tables, or an open connection's numbers did not fit"},
	{"eased_bypass",
	 "an agent was above its budget with all it can leave out, and measured nothing for so many intervals (--budget)"},
	{"rows_full",
	 "the agent's table of rows in the kernel was full: too many different conversations in an interval"},
	{"rows_user_full", "the agent's own table of rows was full: too many different conversations in an interval"},
	{"too_big", "a row did not fit into a datagram: its names are too long"},
	{"send_queue_full", "the agent had no room to wait for a collector and dropped the oldest datagrams"},
	{"send_error", "the agent could not send, to no collector it knows"},
	{"lost_network_rows",
	 "datagrams are missing in the agents' sequence: the network or a socket's queue dropped them"},
	{"refused_rows", "the collector did not accept the rows: another interval, another net, or broken bytes"},
	{"table_full", "the collector's table was full: too many conversations for --max-rows"},
	{"names_full", "the collector's table of names was full"},
	{"intervals_full", "too many intervals were open in the collector at once: do clocks differ?"},
	{"late_bus_full", "rows left behind when the collector stopped: the bus was full"},
	{"bus_error", "the bus refused the messages"},
	{"lost_in_bus", "the reader saw fewer rows than the writer had announced"},
	{"late_unjoined", "rows came more than 10 minutes late: nothing was left to join them with"},
	{"poison", "messages nobody could read; they are in the dead-letter topic"},
	{"untold", "rows were lost for more reasons than a ledger line has places"},
	{"too_old", "rows of a day that retention had removed"},
};

const char *advice_likely(enum health_hop h)
{
	return hops[h].likely;
}

const char *advice_next(enum health_hop h)
{
	return hops[h].next;
}

const char *advice_loss(const char *reason)
{
	for (size_t i = 0; i < ARRAY_LEN(losses); i++)
		if (!strcmp(losses[i].reason, reason))
			return losses[i].text;
	return "";
}
