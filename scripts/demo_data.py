"""What the demo measures: a small shop with servers in two clusters.

Every value is a function of time alone, so the history (OpenMetrics text for promtool) and the live exporter that Prometheus
scrapes continue each other without a seam, and the right answer of a query is known beforehand.
"""
import http.server
import math
import threading
import time

HOURS = 6
SCRAPE_S = 15  # of the history
BUCKETS = ((0.05, 0.55), (0.1, 0.85), (0.25, 0.97), (0.5, 0.995), (1, 0.999), (2.5, 1.0))  # le, share of the quick ones
PERIOD_S = 3 * 3600


class Server:
    """One server of the shop: how many requests it has answered until t, and how."""

    def __init__(self, name, base, wave, phase, incident=None):
        self.name, self.base, self.wave, self.phase = name, base, wave, phase
        self.incident = incident  # (from, to, errors a second)

    def rate(self, t):
        begin, end, per_s = self.incident or (0, 0, 0)
        return self.base + self.wave * math.sin(2 * math.pi * t / PERIOD_S + self.phase) + (per_s if begin <= t < end else 0)

    def quick(self, t, begin):
        """Requests since begin, but for the incident's: the integral of the wave."""
        def integral(x):
            return self.base * x - self.wave * PERIOD_S / (2 * math.pi) * math.cos(2 * math.pi * x / PERIOD_S + self.phase)
        return integral(t) - integral(begin)

    def broken(self, t):
        begin, end, per_s = self.incident or (0, 0, 0)
        return per_s * (min(max(t, begin), end) - begin)

    def samples(self, t, begin):
        """(family, suffix, labels, value) of one scrape."""
        quick, broken = self.quick(t, begin), self.broken(t)
        total = quick + broken
        yield "shop_requests", "_total", 'code="200"', math.floor(0.99 * quick)
        yield "shop_requests", "_total", 'code="500"', math.floor(0.01 * quick + broken)
        yield "shop_inflight_requests", "", "", round(0.2 * self.rate(t), 1)
        for le, share in BUCKETS:
            slow = broken if le >= 1 else 0
            yield "shop_request_duration_seconds", "_bucket", f'le="{float(le)}"', math.floor(quick * share + slow)
        yield "shop_request_duration_seconds", "_bucket", 'le="+Inf"', math.floor(total)
        yield "shop_request_duration_seconds", "_count", "", math.floor(total)
        yield "shop_request_duration_seconds", "_sum", "", round(0.07 * quick + 0.8 * broken, 3)


TYPES = {
    "shop_requests": "counter",
    "shop_inflight_requests": "gauge",
    "shop_request_duration_seconds": "histogram",
    "up": "gauge",
}


class World:
    def __init__(self, now):
        self.end = int(now) - 15
        self.begin = self.end - HOURS * 3600
        trouble = (self.end - 100 * 60, self.end - 70 * 60, 9.0)
        self.shops = {
            "eu": [Server("shop-1", 20, 12, 0.0), Server("shop-2", 18, 11, 0.3), Server("shop-3", 15, 9, 0.6)],
            "us": [Server("shop-1", 16, 10, 2.4), Server("shop-2", 14, 9, 2.7, trouble)],
        }
        # When each replica of eu was down: (from, to). Never both at once.
        self.gaps = {
            "a": [(self.begin + 80 * 60, self.begin + 125 * 60)],
            "b": [(self.begin + 220 * 60, self.begin + 250 * 60)],
        }

    def rate(self, cluster, t):
        return sum(s.rate(t) for s in self.shops[cluster])

    def write_history(self, path, cluster, gaps, offset_s):
        """OpenMetrics text of what one Prometheus would have scraped; returns the number of samples."""
        times = [t for t in range(self.begin + offset_s, self.end, SCRAPE_S)
                 if not any(a <= t < b for a, b in gaps)]
        rows = {}  # family -> series -> lines
        for s in self.shops[cluster]:
            here = f'job="shop",instance="{s.name}"'
            for t in times:
                for family, suffix, labels, v in s.samples(t, self.begin - 3600):
                    series = f"{family}{suffix}{{{here}{',' + labels if labels else ''}}}"
                    rows.setdefault(family, {}).setdefault(series, []).append(f"{series} {v} {t}")
                series = f"up{{{here}}}"
                rows.setdefault("up", {}).setdefault(series, []).append(f"{series} 1 {t}")
        n = 0
        with open(path, "w", encoding="ascii") as f:
            for family, all_series in rows.items():
                f.write(f"# TYPE {family} {TYPES[family]}\n")
                for lines in all_series.values():
                    f.write("\n".join(lines) + "\n")
                    n += len(lines)
            f.write("# EOF\n")
        return n

    def exposition(self, cluster, name):
        """Text of one live scrape; None: no such server."""
        for s in self.shops.get(cluster, []):
            if s.name != name:
                continue
            out, last = [], None
            for family, suffix, labels, v in s.samples(time.time(), self.begin - 3600):
                kind = TYPES[family]
                if family != last:
                    out.append(f"# TYPE {family}{'_total' if kind == 'counter' else ''} {kind}")
                last = family
                out.append(f"{family}{suffix}{{{labels}}} {v}" if labels else f"{family}{suffix} {v}")
            return "\n".join(out) + "\n"
        return None

    def serve(self, port):
        """The live shop: http://127.0.0.1:port/<cluster>/<server>, in threads that end with the process."""
        world = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = world.exposition(*(self.path.strip("/").split("/") + [""])[:2])
                self.send_response(200 if text else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write((text or "no such server\n").encode())

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
