"""Remote write (v1) of floats into a Prometheus with --web.enable-remote-write-receiver; no libraries."""
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
    """A field: of bytes, or of an int as varint, or of a float as double."""
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


def write(url, series, timeout=30):
    """series: [({label: value}, [(ms, float)])]. True: Prometheus took all of it."""
    body = b""
    for labels, samples in series:
        one = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
        one += b"".join(field(2, field(1, float(v)) + field(2, t)) for t, v in samples)
        body += field(1, one)
    request = urllib.request.Request(url + "/api/v1/write", data=snappy(body), headers={
        "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as r:
            return r.status // 100 == 2
    except urllib.error.HTTPError as e:
        e.read()
        return False
