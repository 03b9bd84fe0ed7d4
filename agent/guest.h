/* SPDX-License-Identifier: Apache-2.0 */
/* The agent is a guest on its host (law L9). */
#pragma once

/* Lets the host's applications go first: nice 19, idle io class. Before threads are made: they inherit it. */
void guest_yield(void);

/* Gives up every privilege but those that measuring needs all the time. After the programs are attached, before threads are
 * made. -errno; nothing was changed then. */
int guest_drop(void);

/* The calling thread, and those it starts, come back among the applications: for the one that cuts intervals. On a
 * busy host nice 19 is seconds late, and a late cut puts rows into the wrong interval (law L3). */
void guest_on_time(void);
