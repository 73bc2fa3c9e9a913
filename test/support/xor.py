"""XOR chunks (encoding 1 of Prometheus' TSDB), written anew here: what tests send and read is not coded by what they test."""
import struct

BUCKETS = ((0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20), (0b1111, 4, 64))  # prefix, its bits, bits of the delta of deltas


def bits_of(v):
    return struct.unpack(">Q", struct.pack(">d", v))[0]


def varint(n, signed):
    n = (n << 1 ^ n >> 63) & (1 << 64) - 1 if signed else n
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


class Writer:
    def __init__(self):
        self.bits = []

    def put(self, value, n):
        self.bits.append(format(value & (1 << n) - 1, f"0{n}b"))

    def raw(self, data):
        for b in data:
            self.put(b, 8)

    def done(self):
        s = "".join(self.bits)
        s += "0" * (-len(s) % 8)
        return int(s, 2).to_bytes(len(s) // 8, "big")


def encode(samples):
    """The bytes of a chunk of [(ms, float)]."""
    w = Writer()
    w.put(len(samples), 16)
    t0 = delta = last = 0
    lead, trail = 64, 0
    for n, (t, v) in enumerate(samples):
        b = bits_of(v)
        if n == 0:
            w.raw(varint(t, True))
            w.put(b, 64)
        else:
            d = t - t0
            if n == 1:
                w.raw(varint(d, False))
            elif d == delta:
                w.put(0, 1)
            else:
                dod = d - delta
                prefix, k, size = next(x for x in BUCKETS if x[2] == 64 or -(2 ** (x[2] - 1) - 1) <= dod <= 2 ** (x[2] - 1))
                w.put(prefix, k)
                w.put(dod, size)
            delta = d
            x = b ^ last
            if not x:
                w.put(0, 1)
            else:
                zl, zt = min(64 - x.bit_length(), 31), (x & -x).bit_length() - 1
                if lead <= zl and trail <= zt and lead != 64:
                    w.put(0b10, 2)
                else:
                    lead, trail = zl, zt
                    w.put(0b11, 2)
                    w.put(lead, 5)
                    w.put(64 - lead - trail, 6)
                w.put(x >> trail, 64 - lead - trail)
        t0, last = t, b
    return w.done()


class Reader:
    def __init__(self, data):
        self.value, self.left = int.from_bytes(data, "big"), len(data) * 8

    def get(self, n):
        self.left -= n
        if self.left < 0:
            raise ValueError("chunk is cut")
        return self.value >> self.left & (1 << n) - 1

    def varint(self, signed):
        n = shift = 0
        while True:
            b = self.get(8)
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                return (n >> 1 ^ -(n & 1)) if signed else n

    def dod(self):
        for size in (0, 14, 17, 20):
            if not self.get(1):
                break
        else:
            size = 64
        v = self.get(size)
        return v - (1 << size) if size and v > 1 << size - 1 else v


def decode(data):
    """[(ms, float)] of a chunk's bytes."""
    r = Reader(data)
    out, t, delta, b = [], 0, 0, 0
    lead = size = 0
    for n in range(r.get(16)):
        if n == 0:
            t, b = r.varint(True), r.get(64)
        else:
            delta = r.varint(False) if n == 1 else delta + r.dod()
            t += delta
            if r.get(1):
                if r.get(1):
                    lead, size = r.get(5), r.get(6) or 64
                b ^= r.get(size) << 64 - lead - size
        out.append((t, struct.unpack(">d", struct.pack(">Q", b))[0]))
    return out
