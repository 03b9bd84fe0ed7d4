/* SPDX-License-Identifier: Apache-2.0 */
/* Both stages of the graph, stepped by hand. */
#pragma once

#include <stdint.h>

#include "bus/bus.h"

struct stages;

/* Ends the program when it fails. */
struct stages *stages_new(struct bus *bus, uint64_t boot);
void stages_free(struct stages *s);

/* Works off what is on the bus as of now_us. */
void stages_step(struct stages *s, int64_t now_us);
