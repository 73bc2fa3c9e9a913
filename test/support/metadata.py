"""The credentials services of clouds: a machine's metadata service (version 2) and a container's endpoint, on one port."""
import datetime
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE = "test-role"
TOKEN = "session-of-test"


class Metadata:
    def __init__(self, access, secret, life):
        """life: seconds until what is given expires."""
        outer = self
        self.access, self.secret, self.life = access, secret, life
        self.given = self.refused = 0

        class Handler(BaseHTTPRequestHandler):
            def answer(self, code, text=""):
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self):
                good = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
                self.answer(200 if good else 400, TOKEN if good else "")

            def do_GET(self):
                base = "/latest/meta-data/iam/security-credentials/"
                if self.path == "/container" and self.headers.get("Authorization") == TOKEN:
                    return self.answer(200, outer.keys())
                if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                    outer.refused += 1
                    return self.answer(401)
                if self.path == base:
                    return self.answer(200, ROLE)
                return self.answer(200, outer.keys()) if self.path == base + ROLE else self.answer(404)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keys(self):
        self.given += 1
        end = datetime.datetime.utcnow() + datetime.timedelta(seconds=self.life)
        return json.dumps({"Code": "Success", "AccessKeyId": self.access, "SecretAccessKey": self.secret,
                           "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def close(self):
        self.server.shutdown()
        self.server.server_close()
