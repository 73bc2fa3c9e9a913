"""Tables and charts for a terminal: Unicode blocks where it can show them, ASCII elsewhere."""
import math
import shutil



def speaks_utf8():
    """By the environment as it was given: Python itself sets LC_CTYPE to C.UTF-8 where the locale is C."""
    with open("/proc/self/environ", encoding="utf-8", errors="replace") as f:
        env = dict(x.split("=", 1) for x in f.read().split("\0") if "=" in x)
    name = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or ""
    return "utf8" in name.lower().replace("-", "")


UTF8 = speaks_utf8()
LINE, BAR = ("─", "│") if UTF8 else ("-", "|")
LEVELS = " ▁▂▃▄▅▆▇█" if UTF8 else " .:-=+*%#"
ROWS = 3  # height of a chart


def columns():
    """Columns of a chart beside its labels."""
    return max(24, min(72, shutil.get_terminal_size((100, 24)).columns - 26))


def is_number(text):
    try:
        return bool(float(text)) or True
    except ValueError:
        return False


def table(head, rows):
    """Lines of a table; columns of numbers to the right."""
    cells = [head] + [[str(c) for c in r] for r in rows]
    width = [max(len(r[i]) for r in cells) for i in range(len(head))]
    right = [all(is_number(r[i]) for r in cells[1:]) for i in range(len(head))]

    def line(r):
        return "  ".join(c.rjust(w) if x else c.ljust(w) for c, w, x in zip(r, width, right)).rstrip()
    return [line(cells[0]), LINE * (sum(width) + 2 * (len(width) - 1))] + [line(r) for r in cells[1:]]


def beside(left, right, gap=4):
    """Two blocks of lines next to each other."""
    width = max(len(x) for x in left)
    n = max(len(left), len(right))
    left, right = left + [""] * (n - len(left)), right + [""] * (n - len(right))
    return [(a.ljust(width + gap) + b).rstrip() for a, b in zip(left, right)]


def chart(label, values, top):
    """Lines of one row of columns, 0 to top; None is left blank and underlined as a gap."""
    full = len(LEVELS) - 1
    lines = []
    for row in range(ROWS - 1, -1, -1):
        cells = []
        for v in values:
            if v is None:
                cells.append(("·" if UTF8 else "?") if row == 0 else " ")
                continue
            level = min(max(v / top, 0), 1) * ROWS * full if top > 0 else 0
            here = math.ceil(level) - row * full
            if row == 0:
                here = max(here, 1)
            cells.append(LEVELS[min(max(here, 0), full)])
        text = label if row == 0 else ""
        scale = f"{top:.4g}" if row == ROWS - 1 else "0" if row == 0 else ""
        lines.append(f"  {text:<14}{scale:>6} {BAR}{''.join(cells)}".rstrip())
    return lines


def axis(begin_text, end_text, n):
    return " " * 24 + begin_text + " " * max(1, n - len(begin_text) - len(end_text)) + end_text
