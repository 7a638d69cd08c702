"""A program that stands in for `followup`, for tests of what is started and how it ends."""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Readiness(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent, so that the output is only what a test looks for."""


def main(*arguments: str) -> None:
    name = arguments[0]
    told = {key: value for key, value in os.environ.items() if key.startswith("FOLLOWUP_")}
    seen = {"arguments": arguments, "environment": told}
    Path(os.environ["FOLLOWUP_DATA_DIR"], f"seen-{name}.json").write_text(json.dumps(seen))
    if name == "migrate":
        if "--first-admin" in arguments:
            print(json.dumps({"token": "t0ken"}))
        sys.exit(int(os.environ.get("STAND_IN_MIGRATE_STATUS", "0")))
    print("pid", os.getpid(), flush=True)
    if name == "api":
        port = int(os.environ.get("FOLLOWUP_PORT", "8000"))
        ThreadingHTTPServer(("127.0.0.1", port), Readiness).serve_forever()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
