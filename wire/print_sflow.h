/* SPDX-License-Identifier: Apache-2.0 */
/* The standard's records for wire_print(): as the table of wire/sflow.h names them. */
#pragma once

#include "wire/out.h"
#include "wire/sflow.h"

/* What the sample itself says, as members of the line that was begun. */
void print_sflow_sample(const struct out *o, const struct wire_sample *s);

/*
 * The fields of a record, likewise; of a sampled header also the packet in it (packet_src, ...), and `more_bytes` when
 * it is longer than the fields known here. WIRE_OK, or why the rest of them could not be read.
 */
enum wire_error print_sflow_record(const struct out *o, const struct sflow_struct *s, struct str body);

/* The same without showing. */
enum wire_error print_sflow_check(const struct sflow_struct *s, struct str body);
