# SPDX-License-Identifier: Apache-2.0
"""What who-accepts costs beside the hook: both programs over the same connections, by the kernel's statistics. Code is
translated here, so only the ratio says something."""

NAMES = ["who accepts, beside the hook"]
COLUMNS = ("cost",)
LINES = ("6.12",)  # the machine the numbers are made on has neither fentry nor kprobes
SECONDS = 300
CONNECTIONS = 6000
HOOK, ACCEPT = "inet_sock_set_state", "24"  # a tracepoint; BPF_TRACE_FENTRY: nothing else is attached so
MOST = 0.8  # of what the hook takes for the same side


def words(line, full):
    """What the guest is told to do."""
    return f"cost {CONNECTIONS}"


def column(name):
    """Of the closing table."""
    return COLUMNS[0]


def programs(text):
    """{tracepoint or kind of attachment: (ns, runs)} of the programs that links attach so."""
    files = [dict(pair.split(":=", 1) for pair in part.split(";") if ":=" in pair) for part in text.split("pos:=")]
    took = {f["prog_id"]: (int(f["run_time_ns"]), int(f["run_cnt"])) for f in files if "run_cnt" in f}
    links = {f["prog_id"]: f.get("tp_name", f.get("attach_type")) for f in files if "tp_name" in f or "attach_type" in f}
    found = {}
    for number, at in links.items():
        before = found.get(at, (0, 0))
        found[at] = before[0] + took[number][0], before[1] + took[number][1]
    return found


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    looks = {word: programs(value) for word, value in said if word in ("before", "after")}
    if not all(kind in looks.get(word, {}) for word in ("before", "after") for kind in (HOOK, ACCEPT)):
        return [(NAMES[0], (), [f"the guest did not come to it, or a program was not attached: {looks}"])]
    ns, runs = ({kind: looks["after"][kind][i] - looks["before"][kind][i] for kind in (HOOK, ACCEPT)} for i in (0, 1))
    side, accept = ns[HOOK] / (2 * CONNECTIONS), ns[ACCEPT] / max(1, runs[ACCEPT])
    notes = [f"{runs[ACCEPT]} runs for {CONNECTIONS} connections, {accept:.0f} ns each; the hook {runs[HOOK] / (2 * CONNECTIONS):.1f} "
             f"runs and {side:.0f} ns a side: {accept / side:.2f} of it"]
    wrong = [] if runs[ACCEPT] == CONNECTIONS else [f"{runs[ACCEPT]} runs, expected {CONNECTIONS}"]
    return [(NAMES[0], notes, wrong + ([f"more than {MOST} of the hook"] if accept > MOST * side else []))]
