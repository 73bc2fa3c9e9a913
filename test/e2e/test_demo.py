"""scripts/demo as CI and people run it: it shows what it should, in UTF-8 and in ASCII; a SIGTERM in the middle, a program that
dies and a taken port end it with a message; nothing of it is left running. Ends with "N passed, N failed, N skipped".
"""
import os
import re
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = os.path.join(ROOT, "scripts", "demo")
LOGS = os.path.join(ROOT, "build", "demo", "logs")


demos = []


class Busy(Exception):
    """Another demo on this machine: the ports are fixed."""


def start(*args, lang="C.UTF-8"):
    env = {k: v for k, v in os.environ.items() if not k.startswith("LC_")}
    demos.append(subprocess.Popen([DEMO, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**env, "LANG": lang}))
    return demos[-1]


def finish(p):
    out = p.communicate(timeout=120)[0].decode("utf-8")
    if p.returncode == 3:
        raise Busy(out.strip())
    return p.returncode, out


def left_running():
    """Processes that speak of the demo's folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            cmd = open(f"/proc/{pid}/cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace")
            cwd = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if cwd.startswith(os.path.dirname(LOGS)):
            found.append(f"{pid} {cmd}")
    return found


def check(cond, text):
    if not cond:
        raise AssertionError(text)


def shows_answers_in_utf8():
    rc, out = finish(start("once"))
    check(rc == 0, out)
    check("█" in out and "dedup=false" in out and "everything that was started is ended" in out, out)


def started_process(p, name):
    """Its pid, once the demo has started it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if p.poll() is not None:
            raise AssertionError(f"the demo ended early: {finish(p)}")
        for line in left_running():
            if name in line:
                return int(line.split()[0])
        time.sleep(0.05)
    raise AssertionError(f"{name} was not started")


def ends_on_sigterm():
    p = start()
    started_process(p, " sidecar ")
    p.send_signal(signal.SIGTERM)
    rc, out = finish(p)
    check(rc == 128 + signal.SIGTERM, f"status {rc}: {out}")


def waits_for_ctrl_c_and_speaks_ascii():
    p, out = start(lang="C"), b""
    while b"Ctrl-C ends it all" not in out:
        line = p.stdout.readline()
        if not line:
            raise AssertionError(f"the demo ended early: {finish(p)} {out.decode()}")
        out += line
    check(out.isascii() and re.search(rb"[#%*]{5}", out), out.decode())
    check(len(left_running()) >= 9, "not everything runs")
    p.send_signal(signal.SIGINT)
    rc, rest = finish(p)
    check(rc == 0, f"status {rc}: {rest}")


def tells_the_log_of_what_died():
    p = start("once")
    os.kill(started_process(p, "thanosc store "), signal.SIGKILL)
    rc, out = finish(p)
    check(rc == 1 and "store ended by itself" in out and "build/demo/logs/store.log" in out, f"status {rc}: {out}")


def names_a_taken_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", 17194))
        except OSError as e:
            raise Busy("port 17194") from e
        s.listen()
        p = start("once")
        out = p.communicate(timeout=120)[0].decode()
    want = f"port 17194 (for store grpc) is taken by process {os.getpid()}"
    if "is taken by" in out and want not in out:
        raise Busy(out.strip())
    check(p.returncode == 3 and want in out, f"status {p.returncode}: {out}")


passed = failed = skipped = 0
for test in (shows_answers_in_utf8, ends_on_sigterm, waits_for_ctrl_c_and_speaks_ascii, tells_the_log_of_what_died,
             names_a_taken_port):
    try:
        test()
        check(not left_running(), f"left running: {left_running()}")
        passed += 1
    except Busy as e:
        print(f"skipped {test.__name__}: {e}")
        skipped += 1
    except AssertionError as e:
        print(f"FAILED {test.__name__}: {e}")
        failed += 1
        if demos[-1].poll() is None:
            demos[-1].terminate()
            demos[-1].communicate(timeout=60)
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(failed > 0)
