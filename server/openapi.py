# SPDX-License-Identifier: Apache-2.0
# openapi.json, without its indentation, as the bytes of a C array.
import json
import sys

text = json.dumps(json.load(open(sys.argv[1])), separators=(",", ":")) + "\n"
with open(sys.argv[2], "w") as out:
    out.write("static const char openapi_json[] = {\n")
    data = text.encode()
    for i in range(0, len(data), 24):
        out.write("".join("%d," % b for b in data[i : i + 24]) + "\n")
    out.write("};\n")
