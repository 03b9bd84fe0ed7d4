/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_datagram.c over its corpus, without libFuzzer. */
/* clang-format off: the target before what runs it */
#include "tests/fuzz/fuzz_datagram.c"
#define FUZZ_CORPUS CORPUS_DATAGRAM
#include "tests/unit/fuzz_replay.h"
