"""What `make install`, `make uninstall` and `make package` put in place, and what systemd is told by a process it started.
Ends with "N passed, N failed, N skipped".
"""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import ROOT, THANOSC, Checks, Procs, port  # noqa: E402

EXPECTED = """usr/bin/thanosc
usr/share/man/man1/thanosc.1
usr/share/man/man1/thanosc-sidecar.1
usr/share/man/man1/thanosc-store.1
usr/share/man/man1/thanosc-query.1
usr/share/man/man1/thanosc-compact.1
usr/share/man/man1/thanosc-tools.1
usr/share/man/man5/thanosc-config.5
usr/share/bash-completion/completions/thanosc
usr/share/zsh/site-functions/_thanosc
usr/share/fish/vendor_completions.d/thanosc.fish
lib/systemd/system/thanosc@.service
lib/systemd/system/thanosc-sidecar.service
lib/systemd/system/thanosc-store.service
lib/systemd/system/thanosc-compact.service
lib/systemd/system/thanosc-query.service
lib/systemd/system/thanosc-snapshot.service
lib/systemd/system/thanosc-snapshot.timer""".split()


def run(*argv, **more):
    return subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, **more)


def files(directory):
    return sorted(os.path.relpath(os.path.join(d, f), directory) for d, _, fs in os.walk(directory) for f in fs)


def installed(checks, procs):
    dest = procs.dir("dest")
    out = run("make", "-s", "install", f"DESTDIR={dest}", "PREFIX=/usr")
    checks.ok(out.returncode == 0 and files(dest) == sorted(EXPECTED), "make install: the files", out.stderr + str(files(dest)))
    for mode in ("sidecar", "store", "query", "compact"):
        whole = open(f"{dest}/usr/share/man/man1/thanosc-{mode}.1").read()
        help_flags = set(re.findall(r"^ {2,6}(?:-\w, )?--(?:\[no-\])?([\w.-]+)", run(THANOSC, mode, "--help").stdout, re.M)) - {"help", "version", "help-long"}
        page = whole.split(".SH OPTIONS")[1].split(".SH")[0]
        page_flags = set(f.replace("\\-", "-") for f in re.findall(r"^\.B (?:\\-\w, )?\\-\\-(?:\[no\\-\])?([\w.\\-]+)", page, re.M))
        checks.ok(help_flags and help_flags == page_flags, f"{mode}: the manual page has the flags of --help",
                  help_flags ^ page_flags)
        checks.ok("@OPTIONS@" not in page and "@VERSION@" not in whole, f"{mode}: nothing is left to be filled in")
    for page in glob.glob(f"{dest}/usr/share/man/man*/*"):
        out = run("groff", "-ww", "-man", "-Tutf8", "-z", "-P-c", page)
        bad = [w for w in out.stderr.splitlines() if "cannot adjust line" not in w and "can't break line" not in w]
        checks.ok(out.returncode == 0 and not bad, f"{os.path.basename(page)} is clean", bad)
    script = f"{dest}/usr/share/bash-completion/completions/thanosc"
    out = run("bash", "-c", f"source {script}; COMP_WORDS=(thanosc query --query.repl); COMP_CWORD=2; _thanosc 2>/dev/null; "
              "echo ${COMPREPLY[@]}; COMP_WORDS=(thanosc sid); COMP_CWORD=1; _thanosc; echo ${COMPREPLY[@]}")
    checks.ok(out.stdout.split() == ["--query.replica-label=", "sidecar"], "bash completes flags and modes", out.stdout + out.stderr)
    for unit in glob.glob(f"{dest}/lib/systemd/system/*.service"):
        text = open(unit).read()
        checks.ok("ReadWritePaths=" in text, f"{os.path.basename(unit)}: what it may write is said")
        checks.ok("/usr/bin/thanosc" in text and "/usr/local" not in text, f"{os.path.basename(unit)}: the path of the binary")
        copy = procs.path(os.path.basename(unit).replace("@", "@store"))
        shutil.copy(unit, copy)
        out = run("systemd-analyze", "security", "--offline=true", copy)
        score = re.search(r"exposure level for \S+: ([\d.]+)", out.stdout)
        checks.ok(score and float(score[1]) <= 2.0, f"{os.path.basename(unit)}: exposure at most 2.0", out.stdout[-200:])
    snapshot_units(checks, procs, f"{dest}/lib/systemd/system")
    out = run("make", "-s", "uninstall", f"DESTDIR={dest}", "PREFIX=/usr")
    checks.ok(out.returncode == 0 and files(dest) == [], "make uninstall removes them", files(dest))


def snapshot_units(checks, procs, units):
    """The pair as systemd reads it, its command as systemd would run it: twice, the first snapshot is over its time by then."""
    service, timer = open(f"{units}/thanosc-snapshot.service").read(), open(f"{units}/thanosc-snapshot.timer").read()
    checks.ok(all(f"\n{line}\n" in timer for line in ("OnCalendar=daily", "Persistent=yes", "WantedBy=timers.target"))
              and "\nRandomizedDelaySec=" in timer and "[Install]" not in service, "snapshots: the timer, and nothing but the timer, is enabled")
    here = procs.dir("units")
    for name, text in (("service", service.replace("/usr/bin/thanosc", THANOSC)), ("timer", timer)):
        with open(f"{here}/thanosc-snapshot.{name}", "w") as f:
            f.write(text)
    out = run("systemd-analyze", "verify", "--man=no", *(f"{here}/thanosc-snapshot.{name}" for name in ("service", "timer")))
    checks.ok(out.returncode == 0 and "thanosc-snapshot" not in out.stderr, "snapshots: systemd-analyze verify has nothing to say", out.stderr)
    live, second = procs.path("live"), procs.dir("second")
    shutil.copytree(f"{ROOT}/test/golden/blocks/bucket", live)
    command = re.search(r"^ExecStart=/usr/bin/thanosc (.*) \$THANOSC_FLAGS$", service, re.M)
    flags = [f"--objstore.config-file={procs.bucket(live)}", f"--snapshot.objstore.config-file={procs.bucket(second)}", "--keep=1s", "--keep-last=0"]
    kept = []
    for _ in range(2):
        out = run(THANOSC, *command[1].split(), *flags) if command else None
        kept.append(sorted(os.listdir(f"{second}/thanosc/snapshots")) if out and out.returncode == 0 else out and out.stderr)
        time.sleep(2.1)
    checks.ok(all(len(k) == 1 and k[0].endswith(".json") for k in kept) and kept[0] != kept[1] and len(os.listdir(second)) == len(os.listdir(live)) + 1,
              "snapshots: the command of the unit takes one and removes the old one", kept)
    with open(f"{here}/thanosc-snapshot", "w") as f:
        f.write(f"THANOSC_FLAGS=\"{' '.join(flags)}\"\n")
    out = run(THANOSC, "doctor", f"{here}/thanosc-snapshot")
    checks.ok(out.returncode == 0 and "the flags of thanosc tools bucket snapshot are right" in out.stdout
              and out.stdout.count("put, get, range, list and delete work") == 2, "snapshots: thanosc doctor tries the file of flags", out.stdout)


def packaged(checks, procs):
    out = run("make", "-s", "package")
    debs = glob.glob(os.path.join(ROOT, "build/thanosc_*.deb"))
    if not checks.ok(out.returncode == 0 and len(debs) == 1, "make package makes one .deb", out.stderr):
        return
    root = procs.dir("root")
    for d in ("var/lib/dpkg/info", "var/lib/dpkg/updates"):
        os.makedirs(os.path.join(root, d))
    open(os.path.join(root, "var/lib/dpkg/status"), "w").close()
    if os.getuid() == 0:
        out = run("dpkg", f"--root={root}", "--force-not-root", "--force-script-chrootless", "-i", debs[0])
    else:
        out = run("dpkg", "-x", debs[0], root)
    checks.ok(out.returncode == 0, "the package installs in an empty folder", out.stderr)
    out = run(os.path.join(root, "usr/bin/thanosc"), "query", "--version")
    checks.ok(out.stdout.startswith("thanosc, version "), "its binary runs", out.stderr)
    for name in ("sidecar", "store", "query", "compact", "snapshot"):
        path = os.path.join(root, "etc/default/thanosc-" + name)
        checks.ok(os.path.exists(path) and 'THANOSC_FLAGS=""' in open(path).read(), f"{name}: there is a file for the flags")


def told_to_systemd(checks, procs):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        path = procs.path("notify")
        s.bind(path)
        s.settimeout(20)
        env = {**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}
        p = procs.run("query", [THANOSC, "query", f"--http-address=127.0.0.1:{port()}", f"--grpc-address=127.0.0.1:{port()}"], env=env)
        heard, end = [], time.monotonic() + 20
        while time.monotonic() < end and not (heard.count("WATCHDOG=1") >= 3 and "READY=1" in heard):
            heard += s.recv(4096).decode().split("\n")
        checks.ok(heard.count("WATCHDOG=1") >= 3 and "READY=1" in heard, "it says that it is ready, and alive again and again", heard)
        p.signal(signal.SIGTERM)
        heard = []
        while "STOPPING=1" not in heard and time.monotonic() < end:
            heard += s.recv(4096).decode().split("\n")
        checks.ok("STOPPING=1" in heard and p.stop() == 0, "it says that it is stopping", heard)


with Procs() as procs:
    checks = Checks(procs)
    installed(checks, procs)
    packaged(checks, procs)
    told_to_systemd(checks, procs)
sys.exit(checks.end())
