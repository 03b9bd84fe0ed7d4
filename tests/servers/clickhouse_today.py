#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Today's ClickHouse for the tests: it comes as a library only (libchdb.so), so this puts its HTTP interface before it:
GET /ping, and POST / with a statement and its data in the body. One statement at a time.

The library takes a text of several statements, as the command line client does: of what stands behind FORMAT only what is before
two line ends belongs to the INSERT, the rest to the next one. A server takes the whole body. So the data goes through a file.

    clickhouse_today.py LIBRARY FOLDER PORT
"""

import ctypes
import http.server
import re
import sys
import threading
import urllib.parse


class Engine:
    def __init__(self, library, folder):
        c = self.c = ctypes.CDLL(library)
        c.chdb_connect.restype = ctypes.POINTER(ctypes.c_void_p)
        c.chdb_query_n.restype = ctypes.c_void_p
        c.chdb_query_n.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
        for name, kind in (("buffer", ctypes.c_void_p), ("length", ctypes.c_size_t), ("error", ctypes.c_char_p)):
            getattr(c, "chdb_result_" + name).restype = kind
            getattr(c, "chdb_result_" + name).argtypes = (ctypes.c_void_p,)
        c.chdb_destroy_query_result.argtypes = (ctypes.c_void_p,)
        words = (ctypes.c_char_p * 2)(b"clickhouse", b"--path=" + folder.encode())
        self.connection = c.chdb_connect(2, words)
        if not self.connection or not self.connection[0]:
            sys.exit("clickhouse_today.py: the library does not open " + folder)
        self.lock = threading.Lock()
        self.data = folder + ".insert"

    def query(self, text):
        """(what it answers, None) or (None, what is wrong)."""
        statement, line_end, data = text.partition(b"\n")
        with self.lock:
            if line_end and statement.startswith(b"INSERT "):
                with open(self.data, "wb") as file:
                    file.write(data)
                insert, _, kind = statement.rpartition(b" FORMAT ")
                text = b"%b FROM INFILE '%b' FORMAT %b" % (insert, self.data.encode(), kind)
            r = self.c.chdb_query_n(self.connection[0], text, len(text), b"TabSeparated", 12)
            error, n = self.c.chdb_result_error(r), self.c.chdb_result_length(r)
            data = ctypes.string_at(self.c.chdb_result_buffer(r), n) if n and not error else b""
            self.c.chdb_destroy_query_result(r)
        return (None, error) if error else (data, None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine = None
    database = b"default"

    def log_message(self, *args):
        pass

    def answer(self, code, data, headers=()):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200, b"Ok.\n")

    def body(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        data = b""
        while n := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(n)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def do_POST(self):
        url = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        text, database = self.body(), url.get("database", ["default"])[0].encode()
        done, error = None, None
        if database != Handler.database:  # the library has one session
            _, error = self.engine.query(b"USE " + database)
            Handler.database = b"" if error else database
        if not error:
            done, error = self.engine.query(text)
        if error:
            code = re.search(rb"Code: (\d+)", error)
            self.answer(500, error + b"\n", [("X-ClickHouse-Exception-Code", code.group(1).decode() if code else "0")])
        else:
            self.answer(200, done)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def main():
    library, folder, port = sys.argv[1:]
    Handler.engine = Engine(library, folder)
    Server(("127.0.0.1", int(port)), Handler).serve_forever()


main()
