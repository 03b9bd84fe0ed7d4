/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
