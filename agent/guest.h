/* SPDX-License-Identifier: Apache-2.0 */
/* The agent is a guest on its host (law L9). */
#pragma once

/* Lets the host's applications go first: nice 19, idle io class. Before threads are made: they inherit it. */
void guest_yield(void);

/* Gives up every privilege but those that measuring needs all the time. After the programs are attached, before threads are
 * made. -errno; nothing was changed then. */
int guest_drop(void);
