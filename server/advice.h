/* SPDX-License-Identifier: Apache-2.0 */
/* What a loss means, in a sentence: said by the API, printed by `skyfall doctor`, shown on the page. */
#pragma once

#include "server/health.h"

/* Why a hop loses, most often, and the command that shows more ("API" in it stands for this server's address). */
const char *advice_likely(enum health_hop h);
const char *advice_next(enum health_hop h);

/* What the reason of a loss says. "" for one that is not in the table (a newer role's). */
const char *advice_loss(const char *reason);
const char *advice_loss_next(enum health_hop h, const char *reason);

/* What a clue of the network hop says, and the command that shows more. Any name: the wire's own reasons have one answer. */
const char *advice_clue(const char *clue, const char **ret_next);
