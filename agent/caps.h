/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Gives up every privilege but those that measuring needs all the time. After the programs are attached, before threads are made:
 * they inherit it. -errno; nothing was changed then. */
int caps_drop(void);
