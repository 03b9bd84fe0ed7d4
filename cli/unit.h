/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers for people: three significant digits and the unit beside. A whole number below 1000 is printed
 * as it is. NAN means "not known" and reads "-", which is not the same as 0.
 */
#pragma once

#include <stddef.h>

#define UNIT_TEXT 24

/* "0", "7", "0.30", "12.4 k", "3.02 M". */
char *unit_count(double n, char text[UNIT_TEXT]);
/* "0 B", "512 B", "1.50 kB", "4.29 GB": powers of 1000. */
char *unit_bytes(double n, char text[UNIT_TEXT]);
/* Bytes per second as "1.50 kB/s". */
char *unit_rate(double n, char text[UNIT_TEXT]);
/* "850 us", "1.20 ms", "3.40 s", "2.00 min". */
char *unit_time_us(double us, char text[UNIT_TEXT]);
/* ratio 0..1 as "2.10 %". */
char *unit_percent(double ratio, char text[UNIT_TEXT]);
