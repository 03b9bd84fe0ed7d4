/* SPDX-License-Identifier: Apache-2.0 */
/* What agents say beside their rows: hosts, listeners, their ledger. Their messages wait in the pane for the rows'. */
#pragma once

#include "collector/reading.h"

/* Each reads one record `r` of the datagram. Not WIRE_OK: all of the record is lost, for this reason. */
enum wire_error said_host(struct worker *w, struct reading *rd, const struct wire_record *r);
enum wire_error said_listeners(struct worker *w, struct reading *rd, const struct wire_record *r);
enum wire_error said_health(struct worker *w, struct reading *rd, const struct wire_record *r);
