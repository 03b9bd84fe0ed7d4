/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of hops as text: `skyfall doctor`, and the end of `skyfall run --for`. */
#pragma once

#include <jansson.h>

/* Prints the API's health answer: the chain hop by hop, the verdict, what to do (api: its address, for
 * the advice). CMD_OK when everything adds up, else CMD_FAILED. -ENOMEM. */
int doctor_print(const json_t *health, const char *api);
