"""A cgroup with a limit of memory, of version 2 or 1, for tests that look whether the kernel kills.

    with Cgroup(limit_bytes) as g:
        if g.why: skip(g.why)
        q = p.thanosc("query", ..., binary=g.starter(p, THANOSC))
        ... g.kills(), g.peak()
"""
import os
import time

ROOT = "/sys/fs/cgroup"


def own(controller):
    """The path of this process in a hierarchy; version 2 has no name."""
    with open("/proc/self/cgroup") as f:
        for line in f:
            _, names, path = line.rstrip("\n").split(":", 2)
            if controller in names.split(","):
                return path
    return "/"


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def read(path):
    with open(path) as f:
        return f.read()


class Cgroup:
    def __init__(self, limit):
        self.limit, self.dir, self.why = limit, None, ""
        try:
            self.open()
        except OSError as e:
            self.why = f"no cgroup with a limit of memory can be made here: {e}"

    def open(self):
        name = f"thanosc-test-{os.getpid()}-{time.monotonic_ns()}"
        self.two = os.path.exists(ROOT + "/cgroup.controllers")
        if self.two:
            # beside our own: processes and controllers for children exclude each other in one group
            above = os.path.dirname(own("").rstrip("/")) if own("") != "/" else ""
            self.dir = os.path.join(ROOT + above, name)
            write(os.path.join(os.path.dirname(self.dir), "cgroup.subtree_control"), "+memory")
            os.mkdir(self.dir)
            write(self.dir + "/memory.swap.max", "0") if os.path.exists(self.dir + "/memory.swap.max") else None
            write(self.dir + "/memory.max", str(self.limit))
        else:
            self.dir = os.path.join(ROOT + "/memory" + own("memory"), name)
            os.mkdir(self.dir)
            write(self.dir + "/memory.limit_in_bytes", str(self.limit))

    def starter(self, procs, binary):
        """A program that enters the group and becomes `binary`."""
        path = procs.file(f"in-{os.path.basename(self.dir)}", f'#!/bin/sh\necho $$ >{self.dir}/cgroup.procs && exec {binary} "$@"\n')
        os.chmod(path, 0o755)
        return path

    def kills(self):
        events = read(self.dir + ("/memory.events" if self.two else "/memory.oom_control"))
        return next(int(line.split()[1]) for line in events.splitlines() if line.startswith("oom_kill "))

    def peak(self):
        """Bytes at most, page cache included; None: this kernel does not tell."""
        path = self.dir + ("/memory.peak" if self.two else "/memory.max_usage_in_bytes")
        return int(read(path)) if os.path.exists(path) else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _ in range(100):  # a group that has a process cannot be removed
            try:
                if self.dir and os.path.isdir(self.dir):
                    os.rmdir(self.dir)
                return
            except OSError:
                time.sleep(0.05)
