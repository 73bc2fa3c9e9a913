"""The sidecar's reloader beside a real Prometheus: its file expanded, rules watched, both ways of telling it.

Usage: test_reload.py. Ends with "N passed, N failed, N skipped".
"""
import gzip
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import PROMETHEUS, Checks, Procs, get, port, promtool_clean, wait  # noqa: E402

CONFIG = "global:\n  external_labels: {cluster: $(RELOAD_CLUSTER), version: '%s'}\nrule_files: ['%s/*.yml']\n"
RULES = "groups:\n- name: %s\n  rules:\n  - {record: r, expr: '1'}\n"
M = "thanos_sidecar_reloader_"


def put(path, text):
    """As an editor does it: another file in its place."""
    with open(path + ".new", "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    os.rename(path + ".new", path)


class World:
    def __init__(self, p, method):
        self.method = method
        self.rules = p.dir(method, "rules")
        self.config = p.path(method, "prometheus.yml.tmpl")
        self.output = p.path(method, "out", "prometheus.yml")
        put(self.config, CONFIG % ("1", self.rules))
        # Its own name, so that no other Prometheus of this machine is signalled; the kernel keeps 15 bytes.
        self.name = f"prom{method[0]}{os.getpid() % 10**9}"
        link = p.path(method, self.name)
        os.symlink(PROMETHEUS if os.path.isabs(PROMETHEUS) else find(PROMETHEUS), link)
        http = port()
        self.data = p.dir(method, "data")
        self.prom_argv = [link, f"--config.file={self.output}", f"--storage.tsdb.path={self.data}", f"--web.listen-address=127.0.0.1:{http}"]
        if method == "http":
            self.prom_argv.append("--web.enable-lifecycle")
        self.http = http
        self.url = f"http://127.0.0.1:{http}"
        self.sidecar = p.thanosc(
            "sidecar", f"--prometheus.url={self.url}", f"--tsdb.path={self.data}", f"--reloader.config-file={self.config}",
            f"--reloader.config-envsubst-file={self.output}", f"--reloader.rule-dir={self.rules}", f"--reloader.method={method}",
            f"--reloader.process-name={self.name}", "--reloader.retry-interval=500ms", "--reloader.watch-interval=1m",
            "--prometheus.get_config_interval=1s", name=f"sidecar-{method}", ready=False, env=dict(os.environ, RELOAD_CLUSTER="eu"))

    def metric(self, name):
        return self.sidecar.metric(M + name, None)

    def labels(self):
        return self.prom.api("status/config")[1]["data"]["yaml"]

    def groups(self):
        return [g["name"] for g in self.prom.api("rules")[1]["data"]["groups"]]


def find(name):
    return next(os.path.join(d, name) for d in os.environ["PATH"].split(":") if os.access(os.path.join(d, name), os.X_OK))


def check(c, p, method):
    w = World(p, method)
    c.ok(wait(lambda: os.path.exists(w.output), 10), f"{method}: the output is there before Prometheus runs")
    c.ok(wait(lambda: w.metric("reloads_failed_total"), 10), f"{method}: without Prometheus it fails and is counted")
    c.ok(w.metric("last_reload_successful") == 0, f"{method}: last_reload_successful is 0")
    with open(w.output) as f:
        c.ok(f.read() == CONFIG.replace("$(RELOAD_CLUSTER)", "eu") % ("1", w.rules), f"{method}: the variable is replaced")
    w.prom = p.run(f"prometheus-{method}", w.prom_argv, http=w.http)
    w.prom.ready()
    c.ok(wait(lambda: w.metric("last_reload_successful") == 1, 15), f"{method}: tried again until Prometheus was there", w.sidecar.text()[-1500:])
    w.sidecar.ready()
    c.ok(not promtool_clean(w.sidecar), f"{method}: promtool check metrics", promtool_clean(w.sidecar))

    good, stamp = w.metric("reloads_total"), w.metric("last_reload_success_timestamp_seconds")
    put(w.config, CONFIG % ("2", w.rules))
    c.ok(wait(lambda: "version: \"2\"" in w.labels() or "version: '2'" in w.labels(), 15), f"{method}: a changed file is taken over", w.labels())
    c.ok(wait(lambda: w.metric("last_reload_success_timestamp_seconds") > stamp, 10), f"{method}: counted as taken over")
    c.ok(w.metric("last_reload_successful") == 1 and w.metric("reloads_total") == good + 1, f"{method}: told once")
    stamp = w.metric("last_reload_success_timestamp_seconds")

    put(w.config, "global: [\n")
    c.ok(wait(lambda: w.metric("last_reload_successful") == 0, 15), f"{method}: a broken file is refused, last_reload_successful is 0")
    tries = w.metric("reloads_total")
    c.ok(wait(lambda: w.metric("reloads_total") > tries, 20), f"{method}: and tried again")
    c.ok(w.metric("last_reload_success_timestamp_seconds") == stamp, f"{method}: the time of the last good reload stays")
    c.ok("2" in w.labels(), f"{method}: Prometheus goes on with what it had", w.labels())
    put(w.config, gzip.compress((CONFIG % ("3", w.rules)).encode()))
    c.ok(wait(lambda: w.metric("last_reload_successful") == 1, 20), f"{method}: mended (packed by gzip)", w.sidecar.text()[-1500:])
    c.ok("3" in w.labels().replace("13", ""), f"{method}: and taken over", w.labels())

    put(os.path.join(w.rules, "a.yml"), RULES % "first")
    c.ok(wait(lambda: w.groups() == ["first"], 15), f"{method}: a new rule file", w.groups())
    put(os.path.join(w.rules, "a.yml"), RULES % "other")
    c.ok(wait(lambda: w.groups() == ["other"], 15), f"{method}: a changed rule file", w.groups())

    applied, reloads = w.metric("config_apply_operations_failed_total"), w.metric("reloads_total")
    put(w.config, (CONFIG % ("4", w.rules)).replace("RELOAD_CLUSTER", "RELOAD_UNSET"))
    c.ok(wait(lambda: w.metric("config_apply_operations_failed_total") > applied, 10), f"{method}: an unset variable is counted")
    c.ok("RELOAD_UNSET" in w.sidecar.text(), f"{method}: and named")
    with open(w.output) as f:
        c.ok("'3'" in f.read(), f"{method}: the output stays")
    c.ok(w.metric("reloads_total") == reloads, f"{method}: Prometheus is not told")
    c.ok(w.metric("watch_events_total") >= 5 and w.metric("watches") == 2, f"{method}: watch metrics")
    c.ok(w.sidecar.stop() == 0, f"{method}: SIGTERM ends it with 0")


def check_refused(c, p):
    for flags, word in ((["--reloader.config-envsubst-file=x"], "--reloader.config-file"), (["--reloader.method=pigeon"], "--reloader.method"),
                        (["--reloader.method=signal", "--reloader.process-name="], "--reloader.process-name")):
        proc = p.thanosc("sidecar", *flags, "--prometheus.url=http://127.0.0.1:1", ready=False, name="refused")
        c.ok(wait(lambda: not proc.alive(), 5) and proc.p.returncode != 0 and word in proc.text(), f"refused: {flags}", proc.text()[-400:])


def main():
    with Procs() as p:
        c = Checks(p)
        for method in ("http", "signal"):
            check(c, p, method)
        check_refused(c, p)
    return c.end()


sys.exit(main())
