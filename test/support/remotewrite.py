"""Remote write (v1) into a Prometheus with --web.enable-remote-write-receiver; no libraries."""
import re
import struct
import urllib.error
import urllib.request


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, data):
    """A field: of bytes or text, or of an int as varint, or of a float as double."""
    if isinstance(data, str):
        data = data.encode()
    if isinstance(data, float):
        return varint(number << 3 | 1) + struct.pack("<d", data)
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def snappy(data):
    """A snappy block of literals only."""
    out = bytearray(varint(len(data)))
    for i in range(0, len(data), 60):
        part = data[i:i + 60]
        out += bytes([len(part) - 1 << 2]) + part
    return bytes(out)


def zigzag(n):
    return n << 1 ^ n >> 63


def side(number, offset, counts):
    """The span and the deltas of one side's buckets; their fields are number, number + 1."""
    if not counts:
        return b""
    deltas = b"".join(varint(zigzag(b - a)) for a, b in zip([0] + counts, counts))
    return field(number, field(1, zigzag(offset)) + field(2, len(counts))) + field(number + 1, deltas)


def histogram(text, t):
    """The message of an integer histogram in the text of the test language, {{schema:1 sum:2 ...}}."""
    def one(name, default="0"):
        got = re.search(rf"(?<!\w){name}:(\[[^]]*\]|[^ }}]+)", text)
        return got.group(1) if got else default

    def many(name, kind):
        return [kind(n) for n in one(name, "[]").strip("[]").split()]
    out = field(1, int(one("count"))) + field(3, float(one("sum"))) + field(4, zigzag(int(one("schema"))))
    out += field(5, float(one("z_bucket_w"))) + field(6, int(one("z_bucket")))
    out += side(8, int(one("n_offset")), many("n_buckets", int)) + side(11, int(one("offset")), many("buckets", int))
    out += field(14, 3 if one("counter_reset_hint") == "gauge" else 0) + field(15, t)
    bounds = b"".join(struct.pack("<d", b) for b in many("custom_values", float))
    return out + (field(16, bounds) if bounds else b"")


def write(url, series, timeout=30):
    """series: [({label: value}, [(ms, float or text of a histogram)])]. True: Prometheus took all of it."""
    body = b""
    for labels, samples in series:
        one = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
        one += b"".join(field(4, histogram(v, t)) if isinstance(v, str) else field(2, field(1, float(v)) + field(2, t)) for t, v in samples)
        body += field(1, one)
    request = urllib.request.Request(url + "/api/v1/write", data=snappy(body), headers={
        "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as r:
            return r.status // 100 == 2
    except urllib.error.HTTPError as e:
        e.read()
        return False
