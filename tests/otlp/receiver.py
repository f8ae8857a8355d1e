"""A receiver of OTLP traces over HTTP that has nothing of ours: the published protocol buffers decode what comes.

Says its address on the first line. `GET /tree` gives what has come as a tree, one span a line; it ends with standard input.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

spans = []
lock = threading.Lock()


def value(attribute):
    which = attribute.value.WhichOneof("value")
    return getattr(attribute.value, which) if which else None


def line(span, depth):
    told = {attribute.key: value(attribute) for attribute in span.attributes}
    keys = ["convoke.item.label", "convoke.role", "gen_ai.usage.output_tokens", "error.type"]
    parts = [f"{key}={told[key]}" for key in keys if key in told]
    took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
    events = [event.name for event in span.events]
    return "  " * depth + " ".join([span.name, f"{took:.1f}ms", *parts, *events])


def tree():
    with lock:
        known = list(spans)
    ids = {span.span_id for span in known}
    children = {}
    for span in known:
        parent = span.parent_span_id if span.parent_span_id in ids else b""
        children.setdefault(parent, []).append(span)
    lines = []

    def walk(parent, depth):
        for span in sorted(children.get(parent, []), key=lambda span: span.start_time_unix_nano):
            lines.append(line(span, depth))
            walk(span.span_id, depth + 1)

    walk(b"", 0)
    return "\n".join(lines) + "\n"


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            return self.answer(404, b"", "text/plain")
        request = ExportTraceServiceRequest.FromString(body)
        with lock:
            for of_resource in request.resource_spans:
                for scope in of_resource.scope_spans:
                    spans.extend(scope.spans)
        self.answer(200, ExportTraceServiceResponse().SerializeToString(), "application/x-protobuf")

    def do_GET(self):
        self.answer(200, tree().encode(), "text/plain")

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
sys.stdin.read()
