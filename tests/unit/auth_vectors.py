#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keys, messages and tags as C: Python's hmac is the oracle of tests/unit/test_auth.c."""

import hashlib
import hmac
import random
import sys


def c(data):
    return "{" + ",".join(str(b) for b in data) + "}"


def main(path):
    dice = random.Random(6343)
    with open(path, "w", encoding="utf-8") as out:
        for n in [24, 28, 63, 64, 65, 119, 120, 127, 128, 512, 1400, 8972] + [dice.randrange(24, 1400) for _ in range(52)]:
            fleet, message = dice.randbytes(32), dice.randbytes(n - 16)
            address = b"\0" * 10 + b"\xff\xff" + dice.randbytes(4) if n & 1 else dice.randbytes(16)
            key = hmac.new(fleet, address, hashlib.sha256).digest()
            tag = hmac.new(key, message + b"\0" * 16, hashlib.sha256).digest()[:16]
            out.write(f"{{{c(fleet)},{{{c(address)}}},{c(key)},{n},(const uint8_t[]){c(message + tag)}}},\n")


main(sys.argv[1])
