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
	{"table_full", "the collector's table was full: too many conversations for --rows"},
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

/* Of some of them: a better command than the hop's. */
static const struct {
	const char *reason, *next;
} loss_nexts[] = {
	{"send_queue_full", "skyfall hosts says which; there: journalctl -u skyfall-agent"},
	{"send_error",
	 "skyfall hosts says which; there: journalctl -u skyfall-agent; ip route get COLLECTOR; nft list ruleset"},
	{"lost_network_rows", "skyfall doctor --datagrams"},
	{"refused_rows", "skyfall doctor --datagrams"},
	{"table_full",
	 "skyfall collector --rows N, or one more collector; how full: curl -s API/metrics | grep fold_fill"},
	{"names_full",
	 "skyfall collector --rows N, its names grow with it; how full: curl -s API/metrics | grep fold_fill"},
	{"intervals_full", "date -u on the hosts; curl -s API/metrics | grep clock_moved"},
};

/* What became of datagrams between agent and collector. */
static const struct {
	const char *clue, *text, *next;
} clues[] = {
	{"lost_network_datagrams", "missing in the agents' numbers: the lines below say what took them",
	 "skyfall doctor --datagrams"},
	{"on_the_way",
	 "never came to the collector's host, or were dropped there before its socket: a link, a firewall, a full queue",
	 "on both hosts: nft list ruleset; ip -s link"},
	{"kernel_drops",
	 "the collector's socket had no room: its thread was too slow or away (a run that came as one counts as one)",
	 "skyfall collector --rcvbuf BYTES --threads N; how full: curl -s API/metrics | grep collector_thread"},
	{"old_datagrams", "came so late that nobody can tell them from duplicates", "skyfall doctor --datagrams"},
	{"rejected_agent", "of agents that the allow list does not have",
	 "skyfall doctor --datagrams says whose; then --allow or --allow-file, and SIGHUP to the collector"},
	{"rejected_signature", "signed with a wrong key, or changed on the way",
	 "skyfall doctor --datagrams says whose; skyfall key ADDRESS --fleet-key FILE prints the key it should have"},
	{"rejected_unsigned", "not signed, and they have to be",
	 "skyfall doctor --datagrams says whose; skyfall-agent --key-file FILE there"},
	{"rejected_replayed", "signed, and seen before: the network doubled them, or somebody plays them again",
	 "skyfall doctor --datagrams says from where"},
	{"rejected_stale",
	 "signed, of an agent not known yet whose clock is more than 5 minutes off, or recorded earlier",
	 "skyfall doctor --datagrams says whose; date -u there and here"},
	{"rejected_rate", "more than one agent may send",
	 "skyfall collector --agent-rate N bounds it; skyfall doctor --datagrams says whose"},
	{"rejected_trust_full", "signed, of more agents than the table holds", "skyfall collector --agents N"},
	{"rejected_interval_length", "measured in intervals of another length than this fleet's",
	 "skyfall doctor --datagrams says whose; skyfall-agent --interval there"},
	{"rejected_net", "of a net that is not collected here",
	 "skyfall doctor --datagrams says whose; --net here and there"},
	{"rejected_truncated", "longer than the receive buffer", "skyfall doctor --datagrams says whose"},
	{"rejected_ledger", "ledger lines of an impossible interval",
	 "skyfall doctor --datagrams says whose; date -u there"},
	{"rejected_host", "host records in too many parts", "skyfall doctor --datagrams says whose"},
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

const char *advice_loss_next(enum health_hop h, const char *reason)
{
	for (size_t i = 0; i < ARRAY_LEN(loss_nexts); i++)
		if (!strcmp(loss_nexts[i].reason, reason))
			return loss_nexts[i].next;
	return hops[h].next;
}

const char *advice_clue(const char *clue, const char **ret_next)
{
	for (size_t i = 0; i < ARRAY_LEN(clues); i++) {
		if (strcmp(clues[i].clue, clue) != 0)
			continue;
		*ret_next = clues[i].next;
		return clues[i].text;
	}
	*ret_next = "skyfall doctor --datagrams says whose, and how they begin";
	return "bytes that cannot be read: of another program or version, or changed on the way";
}
