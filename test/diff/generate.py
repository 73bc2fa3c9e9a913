"""Random data and random well-typed PromQL over it; the same seed gives the same.

Data is a list of (labels, [slot, ...]) with a slot each `step` seconds: None, a float, or the text of a histogram in the
test language of promqltest. Queries use every function, aggregation, operator and modifier that the peer has: `since`
leaves out what came after a version of Prometheus.
"""
import math
import random

JOBS = ("api", "db", "web")
INSTANCES = ("i0", "i1", "i2")
STALE = "stale"
MUCH = 1e5  # more than any counter counts while it is seen


class Data:
    """Series of all shapes: counters with resets, gaps, stale markers, NaN and infinities, histograms of both kinds.

    `tame`: numbers that do not show what changed since 2.42 (changed_since_242.def): sums of gauges are exact, and a
    counter goes on counting before and in its gaps, so that none of its ranges extrapolates to its zero.
    """

    def __init__(self, rng, slots=60, native=True, tame=False):
        self.rng, self.slots, self.tame, self.series = rng, slots, tame, []
        for job in JOBS:
            for inst in INSTANCES[:rng.randint(1, 3)]:
                ls = {"job": job, "instance": inst}
                self.add("c_total", ls, self.counter())
                self.add("g", ls, self.gauge())
                if rng.random() < 0.7:
                    self.add("up", ls, self.holes([float(rng.random() < 0.9) for _ in range(slots)]))
                self.classic(dict(ls))
        special = (1.0, math.nan, math.inf, -math.inf, 0.0, -0.0, *(() if tame else (1e300, -1e300, 5e-324)), 2.5)
        self.add("special", {"job": "api"}, [rng.choice(special) for _ in range(slots)])
        self.add("other", {"job": "api"}, self.gauge())
        self.add("one", {}, [1.0] * slots)
        for job in JOBS:
            self.add("build_info", {"job": job, "version": f"v{rng.randint(1, 3)}"}, self.holes([1.0] * slots))
            self.add("target_info", {"job": job, "instance": "i0", "env": rng.choice(("prod", "test")), "zone": job}, self.holes([1.0] * slots))
        if native:
            for job in JOBS:
                for inst in INSTANCES[:2]:
                    ls = {"job": job, "instance": inst}
                    self.add("nh", ls, self.native(rng.randint(-1, 3)))
                    self.add("cb", ls, self.custom())
                    self.add("mix", ls, self.mixed())

    def add(self, name, labels, slots):
        self.series.append(({"__name__": name, **labels}, slots))

    def holes(self, values):
        out, rng = [], self.rng
        gap = 0
        for v in values:
            if gap == 0 and rng.random() < 0.03:
                gap = rng.randint(1, 8)
                if rng.random() < 0.5:
                    out.append(STALE)
                    gap -= 1
                    continue
            if gap:
                gap -= 1
                out.append(None)
                continue
            out.append(v)
        return out[:self.slots]

    def counter(self):
        v, out = float(self.rng.randint(0, 50)) + MUCH * self.tame, []
        for i in range(self.slots):
            v = float(self.rng.randint(0, 5)) if self.rng.random() < 0.04 and (i or not self.tame) else v + self.rng.choice((0, 0, 1, 2.5, 7, 60))
            out.append(v)
        return self.counted_on(self.holes(out)) if self.tame else self.holes(out)

    def counted_on(self, values):
        more, gap, last = 0.0, False, 0.0
        for i, v in enumerate(values):
            if not isinstance(v, float):
                gap = True
                continue
            if v < last:  # a reset, but in a gap
                more = more + last if gap else 0.0
            if gap and v + more < MUCH:
                more = MUCH
            values[i], last, gap = v + more, v, False
        return values

    def gauge(self):
        if self.tame:
            return self.holes([round(self.rng.gauss(10, 25) * 64) / 64 for _ in range(self.slots)])
        return self.holes([round(self.rng.gauss(10, 25), self.rng.choice((0, 1, 6))) for _ in range(self.slots)])

    def classic(self, ls):
        les = ("0.1", "0.5", "1", "2.5", "+Inf")
        counts, rows = [int(MUCH) * self.tame] * len(les), [[] for _ in les]
        total = MUCH * self.tame
        sums = []
        for slot in range(self.slots):
            if self.rng.random() < 0.03 and (slot or not self.tame):
                counts, total = [0] * len(les), 0.0
            for i in range(len(les)):
                counts[i] += self.rng.choice((0, 0, 1, 3))
            total += self.rng.random() * 4
            for i in range(len(les)):
                rows[i].append(float(sum(counts[:i + 1])))
            sums.append(round(total * 64) / 64 if self.tame else round(total, 3))
        for le, row in zip(les, rows):
            self.add("h_bucket", {**ls, "le": le}, row)
        self.add("h_count", ls, list(rows[-1]))
        self.add("h_sum", ls, sums)

    def native_text(self, schema, state, gauge):
        pos = " ".join(str(c) for c in state["pos"])
        neg = " ".join(str(c) for c in state["neg"])
        count = sum(state["pos"]) + sum(state["neg"]) + state["zero"]
        text = f"schema:{schema} sum:{round(state['sum'], 3)} count:{count} z_bucket:{state['zero']} z_bucket_w:{state['w']} offset:{state['offset']} buckets:[{pos}]"
        if neg:
            text += f" n_offset:{state['offset']} n_buckets:[{neg}]"
        return "{{" + text + (" counter_reset_hint:gauge" if gauge else "") + "}}"

    def native(self, schema):
        rng = self.rng
        gauge = rng.random() < 0.2

        def fresh():
            return {"pos": [rng.randint(0, 5) for _ in range(rng.randint(1, 6))], "neg": [rng.randint(0, 3) for _ in range(rng.choice((0, 0, 2)))],
                    "zero": rng.randint(0, 4), "sum": rng.random() * 10, "offset": rng.randint(-3, 3), "w": rng.choice((0.001, 0.001, 0.5))}
        state, out = fresh(), []
        for _ in range(self.slots):
            if rng.random() < 0.05:
                state = fresh()
                if rng.random() < 0.3:
                    schema = rng.randint(-1, 3)
            for side in ("pos", "neg"):
                state[side] = [max(0, c + (rng.randint(-2, 3) if gauge else rng.choice((0, 0, 1, 4)))) for c in state[side]]
            state["zero"] += rng.choice((0, 1))
            state["sum"] += rng.random() * 5
            out.append(self.native_text(schema, state, gauge))
        return self.holes(out)

    def custom(self):
        rng = self.rng
        bounds = rng.choice(((1, 2, 5), (1, 2.5, 5, 10), (0.5, 2, 5)))
        counts, total, out = [0] * (len(bounds) + 1), 0.0, []
        for _ in range(self.slots):
            if rng.random() < 0.04:
                bounds = rng.choice(((1, 2, 5), (1, 2.5, 5, 10), (0.5, 2, 5)))
                counts, total = [0] * (len(bounds) + 1), 0.0
            counts = [c + rng.choice((0, 1, 2)) for c in counts]
            total += rng.random() * 9
            out.append("{{schema:-53 sum:%s count:%d custom_values:[%s] buckets:[%s]}}" % (
                round(total, 3), sum(counts), " ".join(map(str, bounds)), " ".join(map(str, counts))))
        return self.holes(out)

    def mixed(self):
        out, hists = [], self.native(1)
        kind = True
        for i in range(self.slots):
            if self.rng.random() < 0.1:
                kind = not kind
            out.append(hists[i] if kind else float(self.rng.randint(0, 100)))
        return out

    def load_lines(self, step):
        lines = [f"load {step}s"]
        for labels, slots in self.series:
            ls = ", ".join(f'{k}="{v}"' for k, v in labels.items() if k != "__name__")
            text = " ".join("_" if s is None else s if isinstance(s, str) else number(s) for s in slots)
            lines.append(f"  {labels['__name__']}{{{ls}}} {text}")
        return lines


def number(v):
    if math.isnan(v):
        return "NaN"
    if math.isinf(v):
        return "Inf" if v > 0 else "-Inf"
    return repr(v)


V_FLOAT = "abs ceil floor exp ln log2 log10 sqrt sgn deg rad sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh round".split()
RANGE = ("rate increase delta irate idelta deriv changes resets sum_over_time avg_over_time min_over_time max_over_time count_over_time "
         "stddev_over_time stdvar_over_time last_over_time present_over_time absent_over_time").split()
RANGE_NEW = "first_over_time mad_over_time ts_of_min_over_time ts_of_max_over_time ts_of_last_over_time ts_of_first_over_time".split()
HIST = "histogram_count histogram_sum histogram_avg histogram_stddev histogram_stdvar".split()
DATES = "day_of_month day_of_week day_of_year days_in_month hour minute month year".split()
AGGRS = "sum avg count min max group stddev stdvar".split()
ARITH = "+ - * / % ^ atan2".split()
CMP = "== != < > <= >=".split()


class Gen:
    """Queries over the time from `base` (s) on. `new`: what came after 2.42, experimental language included; `native`: native histograms
    exist; `apart`: no subquery has a step at the end of its range."""

    def __init__(self, rng, new=True, native=True, window=3600, base=0, apart=False):
        self.rng, self.new, self.native, self.window, self.base, self.apart = rng, new, native, window, base, apart

    def pick(self, *items):
        return self.rng.choice(items)

    def chance(self, p):
        return self.rng.random() < p

    # ---- leaves ----
    def matchers(self):
        rng, out = self.rng, []
        if self.chance(0.4):
            out.append(self.pick('job="api"', 'job!="db"', 'job=~"a.*|web"', 'job!~"w.+"', 'job=~".+"'))
        if self.chance(0.25):
            out.append(self.pick('instance="i0"', 'instance=~"i[01]"', 'instance!="i2"', 'nope=""'))
        rng.shuffle(out)
        return "{" + ",".join(out) + "}" if out else ""

    def name(self, kind="any"):
        floats = ["c_total", "c_total", "g", "g", "other", "special", "up", "h_bucket", "h_sum", "h_count", "one"]
        hists = ["nh", "nh", "cb", "mix"]
        if kind == "counter":
            return self.pick("c_total", "h_count", "h_bucket", *(["nh", "cb"] if self.native else []))
        if kind == "hist" and self.native:
            return self.pick(*hists)
        if kind == "any" and self.native and self.chance(0.3):
            return self.pick(*hists)
        return self.pick(*floats)

    def at(self):
        if self.chance(0.08):
            return " @ " + self.pick("start()", "end()", str(self.base + self.rng.randint(0, self.window)), "%.1f" % (self.base + self.rng.random() * self.window))
        return ""

    def offset(self):
        if self.chance(0.12):
            return " offset " + self.pick("1m", "-1m", "90s", "5m", "7s", *(("(1m + 30s)", "step()", "-(2*15)") if self.new else ()))
        return ""

    def modifiers(self):
        parts = [self.at(), self.offset()]
        self.rng.shuffle(parts)
        return "".join(parts)

    def span(self):
        out = self.pick("1m", "2m", "3m", "5m", "5m", "10m", "61s", "15m", "29s")
        if self.new and self.chance(0.05):
            out = self.pick("1m+1m", "step()*3", "max_of(2m, step())", "3*60", "min_of(5m, range())+1m", "2^7")
        return out

    def selector(self, kind="any"):
        if kind == "any" and self.chance(0.04):
            return self.pick('{__name__=~"g|other"}', '{job="api",__name__!~"h_.*"}', '{__name__=~".*_total"}', "nothing") + self.modifiers()
        smooth = " smoothed" if self.new and self.chance(0.03) else ""
        return self.name(kind) + self.matchers() + smooth + self.modifiers()

    def matrix(self, depth, kind="any", extended=False):
        if depth > 0 and self.chance(0.2):
            inner = self.vector(depth - 1)
            step = self.pick("", "30s", "1m", "2m", "17s", *(("step()", "15s*2") if self.new else ()))
            return f"({inner})[{self.span()}{'7ms' if self.apart else ''}:{step}]" + self.modifiers()
        ext = self.pick(" anchored", " smoothed") if extended and self.new and self.chance(0.12) else ""
        return f"{self.name(kind)}{self.matchers()}[{self.span()}]" + ext + self.modifiers()

    # ---- scalars ----
    def number(self):
        return self.pick("0", "1", "2", "-1", "0.5", "3.75", "100", "-7.5", "1e3", "NaN", "Inf", "-Inf", "0x1F")

    def scalar(self, depth):
        r = self.rng.random()
        if depth <= 0 or r < 0.5:
            return self.number()
        if r < 0.6:
            return self.pick("time()", "pi()", *(("start()", "end()", "step()", "range()") if self.new else ()))
        if r < 0.75:
            return f"scalar({self.vector(depth - 1)})"
        if self.new and r < 0.8:
            return f"{self.pick('max_of', 'min_of')}({self.scalar(depth - 1)}, {self.scalar(depth - 1)})"
        if r < 0.9:
            return f"({self.scalar(depth - 1)} {self.pick(*ARITH)} {self.scalar(depth - 1)})"
        return f"({self.scalar(depth - 1)} {self.pick(*CMP)} bool {self.scalar(depth - 1)})"

    # ---- vectors ----
    def names(self, n=2):
        return ", ".join(self.rng.sample(("job", "instance", "le", "version", "__name__" if self.chance(0.15) else "nope"), self.rng.randint(0, n)))

    def grouping(self):
        r = self.rng.random()
        return "" if r < 0.25 else f" by ({self.names()})" if r < 0.7 else f" without ({self.names()})"

    def aggregate(self, depth):
        inner = self.vector(depth - 1)
        g = self.grouping()
        r = self.rng.random()
        if r < 0.6:
            return f"{self.pick(*AGGRS)}{g} ({inner})"
        if r < 0.75:
            return f"{self.pick('topk', 'bottomk')}{g} ({self.pick('1', '2', '3', '10', '0', 'scalar(one)*2')}, {inner})"
        if r < 0.85:
            return f"quantile{g} ({self.pick('0.5', '0.9', '0', '1', '-1', '2', 'NaN', 'scalar(one)/3')}, {inner})"
        if r < 0.92:
            return f'count_values{g} ("{self.pick("v", "job", "value")}", {inner})'
        if not self.new:
            return f"sum{g} ({inner})"
        return f"limitk{g} ({self.pick('1', '2', '5')}, {inner})" if self.chance(0.5) else f"limit_ratio{g} ({self.pick('0.5', '-0.5', '0.3', '1', '-1', '1.5')}, {inner})"

    def range_call(self, depth):
        r = self.rng.random()
        if r < 0.4:
            return f"{self.pick('rate', 'increase', 'irate', 'delta', 'resets', 'changes')}({self.matrix(depth, self.pick('counter', 'any'), True)})"
        if r < 0.75:
            return f"{self.pick(*RANGE, *(RANGE_NEW if self.new else ()))}({self.matrix(depth)})"
        if r < 0.85:
            return f"quantile_over_time({self.pick('0.5', '0.9', '0', '1', '1.1', '-0.1', 'scalar(g)/50')}, {self.matrix(depth)})"
        if r < 0.92:
            return f"predict_linear({self.matrix(depth)}, {self.pick('60', '3600', '-30')})"
        return f"double_exponential_smoothing({self.matrix(depth)}, {self.pick('0.5', '0.1', '0.9')}, {self.pick('0.5', '0.3')})"

    def call(self, depth):
        v = self.vector(depth - 1)
        r = self.rng.random()
        if r < 0.35:
            return f"{self.pick(*V_FLOAT)}({v})"
        if r < 0.45:
            return self.pick(f"clamp({v}, {self.scalar(1)}, {self.scalar(1)})", f"clamp_min({v}, {self.scalar(1)})", f"clamp_max({v}, {self.scalar(1)})",
                             f"round({v}, {self.pick('0.5', '10', '0.1', '3')})")
        if r < 0.52:
            return f"{self.pick(*DATES)}({v})"
        if r < 0.6:
            return f"timestamp({self.pick(v, self.selector())})"
        if r < 0.66:
            return f"absent({v})"
        if r < 0.74:
            return self.pick(f'label_replace({v}, "dst", "$1-x", "job", "(.).*")', f'label_replace({v}, "job", "${{1}}", "instance", "(i.)")',
                             f'label_replace({v}, "instance", "", "instance", ".*")', f'label_replace({v}, "__name__", "n_$1", "job", "(.*)")')
        if r < 0.8:
            return self.pick(f'label_join({v}, "dst", "-", "job", "instance")', f'label_join({v}, "instance", "", "job")')
        if r < 0.86:
            return f"vector({self.scalar(depth - 1)})"
        if r < 0.9:
            return self.pick(f"-({v})", f"+({v})", f"-({v})")
        if self.new and r < 0.93:
            return f"info({self.pick('g', 'c_total', 'up', v)}" + self.pick("", ', {env=~".+"}', ', {__name__="build_info"}', ', {zone="api"}') + ")"
        return f"sum by (job) ({v})"

    def histogram_call(self, depth):
        q = self.pick("0.5", "0.9", "0.99", "0", "1", "-1", "2", "NaN", "0.25")
        r = self.rng.random()
        classic = self.pick("h_bucket", "rate(h_bucket[5m])", "sum by (le, job) (rate(h_bucket[5m]))", "sum by (le) (h_bucket)")
        if not self.native or r < 0.3:
            return f"histogram_quantile({q}, {classic})"
        native = self.pick("nh", "cb", "mix", "rate(nh[5m])", "increase(cb[4m])", "sum by (job) (nh)", "avg(cb)", "sum(rate(nh[5m]))", f"{{__name__=~\"nh|h_bucket\"}}",
                           self.vector(depth - 1))
        if r < 0.55:
            return f"histogram_quantile({q}, {native})"
        if not self.new:
            return f"{self.pick('histogram_count', 'histogram_sum')}({native})"
        if r < 0.85:
            return f"{self.pick(*HIST)}({native})"
        if r < 0.95:
            return f"histogram_fraction({self.pick('0', '-Inf', '-1', '0.5')}, {self.pick('1', '2', 'Inf', '0.7', 'NaN')}, {self.pick(native, classic)})"
        return f'histogram_quantiles({self.pick(native, classic)}, "q", {self.pick("0.5", "0.1, 0.9", "0, 1")})'

    def matching(self, op):
        r = self.rng.random()
        if r < 0.4:
            return ""
        on = self.pick("on", "ignoring")
        names = self.pick("job", "job, instance", "instance", "le", "") if on == "on" else self.pick("instance", "version", "le", "job", "")
        out = f" {on} ({names})"
        if op not in ("and", "or", "unless") and self.chance(0.4):
            out += f" {self.pick('group_left', 'group_right')}" + self.pick("", " ()", " (version)", " (instance)" if on == "ignoring" else " (version)")
        if self.new and op not in ("and", "or", "unless") and self.chance(0.12):
            out += self.pick(" fill (0)", " fill_left (1)", " fill_right (-1)", " fill_left (2) fill_right (3)")
        return out

    def binary(self, depth):
        r = self.rng.random()
        if r < 0.35:
            op = self.pick(*ARITH, *CMP)
            b = " bool" if op in CMP and self.chance(0.4) else ""
            v, s = self.vector(depth - 1), self.scalar(depth - 1)
            left, right = (v, s) if self.chance(0.6) else (s, v)
            return f"({left} {op}{b} {right})"
        left, right = self.vector(depth - 1), self.vector(depth - 1)
        if self.chance(0.5):
            right = left
        if self.chance(0.25):
            op = self.pick("and", "or", "unless")
            return f"({left} {op}{self.matching(op)} {right})"
        op = self.pick(*ARITH, *CMP)
        if self.new and self.native and self.chance(0.06):
            op = self.pick("</", ">/")
            if self.chance(0.6):
                return f"(nh {op} {self.pick('1', '0.5', '2', '-1', '0')})"
        b = " bool" if op in CMP and self.chance(0.4) else ""
        return f"({left} {op}{b}{self.matching(op)} {right})"

    def vector(self, depth):
        if depth <= 0:
            return self.selector()
        r = self.rng.random()
        if r < 0.14:
            return self.selector()
        if r < 0.38:
            return self.range_call(depth - 1)
        if r < 0.58:
            return self.aggregate(depth)
        if r < 0.72:
            return self.call(depth)
        if r < 0.8:
            return self.histogram_call(depth)
        return self.binary(depth)

    def query(self):
        depth = self.pick(1, 1, 2, 2, 2, 3, 3, 4)
        if self.chance(0.04):
            return self.scalar(depth)
        q = self.vector(depth)
        if self.chance(0.05):
            return self.pick(f"sort({q})", f"sort_desc({q})", *((f'sort_by_label({q}, "instance", "job")', f'sort_by_label_desc({q}, "job")') if self.new else ()))
        return q


def script(seed, queries=200, step=15, slots=80):
    """A script of the test language whose evals say nothing about what they give."""
    rng = random.Random(seed)
    lines = Data(rng, slots).load_lines(step)
    gen = Gen(rng, window=step * slots)
    lines.append("")
    for _ in range(queries):
        q = gen.query()
        if rng.random() < 0.6:
            lines.append(f"eval instant at {rng.randint(0, step * slots + 120)}s {q}")
        else:
            a = rng.randint(0, step * slots // 2)
            lines.append(f"eval range from {a}s to {a + rng.randint(60, step * slots)}s step {rng.choice((7, 15, 30, 60, 60, 120))}s {q}")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys
    print(script(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200))
