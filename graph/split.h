/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Divides a view's sums among the services at the other end, in the ratio those services themselves measured, keeping
 * every total to the unit. Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/stats.h"

/* total = sum of parts. parts[i] is total * weights[i] / sum(weights), rounded down; what is left goes one each to the
 * largest remainders, the first of equals first. All weights zero: as if all were one. -ENOMEM. */
int split_number(uint64_t total, const uint64_t *weights, size_t n, uint64_t *ret_parts);

/*
 * Adds to parts[i] the share of `whole` that belongs to weights[i]. n > 0. -ENOMEM, parts untouched.
 *
 * `facing`: whole was measured at the other end than the weights, so what it sent they received; else at the same end.
 * Each sum is divided in the ratio of the same sum of the weights: sums of a direction by that direction's, sums of the
 * conversation by the same sum, histograms bucket by bucket. Where that is zero for all of them, or the weights' end
 * cannot know the sum (the other's retransmits, round trips), by the first of these that is not zero: bytes in that
 * direction (sums of the conversation: both), connections opened and attempted, rows; else equally, in order.
 */
int split_stats(const struct flow_stats *whole, const struct flow_stats *const *weights, size_t n, bool facing,
		struct flow_stats *const *parts);
