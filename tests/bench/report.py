# SPDX-License-Identifier: MIT
"""Medians, ratios, the table, the JSON and the chart."""
import json
import math
from statistics import median
from xml.sax.saxutils import escape

ITEMS = {1: "Server CPU for a GB of tunnel payload", 2: "Throughput", 3: "Small packets", 4: "Full handshakes",
         5: "Memory for a client", 6: "Latency", 7: "One worker and two", 8: "Without encryption"}


class Figures:
    """Samples by (item, name, unit) and column."""

    def __init__(self):
        self.rows = {}

    def note(self, item, name, unit, column, value, more):
        row = self.rows.setdefault((item, name, unit), {"more": more, "samples": {}})
        row["samples"].setdefault(column, []).append(value)

    def medians(self):
        """[(item, name, unit, more is better, {column: median}, {column: samples})], by item."""
        return [(item, name, unit, row["more"], {c: median(s) for c, s in row["samples"].items()}, row["samples"])
                for (item, name, unit), row in sorted(self.rows.items(), key=lambda r: r[0][0])]


def short(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(a, b):
    return a / b if a is not None and b else None


def table(figures, columns, items, called):
    """Lines of text: ours, then each other with our ratio to it."""
    first, *others = columns
    lines, last = [], None
    for item, name, unit, _, medians, _ in figures.medians():
        if item not in items:
            continue
        if item != last:
            lines += ["", f"{item}. {ITEMS[item]}",
                      f"   {'':58}{called.get(first, first)[:20]:>20}" +
                      "".join(f"{called.get(o, o)[:22]:>24}{'ratio':>8}" for o in others)]
            last = item
        text = f"   {name + ', ' + unit:58}{short(medians.get(first)):>20}"
        for other in others:
            r = ratio(medians.get(first), medians.get(other))
            text += f"{short(medians.get(other)):>24}{('%.3g' % r if r is not None else '-'):>8}"
        lines.append(text)
    return lines


def save_json(path, figures, about):
    rows = [{"item": item, "name": name, "unit": unit, "more_is_better": more, "medians": medians, "samples": samples,
             "ratios": {c: ratio(medians.get("hub"), m) for c, m in medians.items() if c != "hub"} if "hub" in medians
             else {}} for item, name, unit, more, medians, samples in figures.medians()]
    with open(path, "w") as f:
        json.dump({**about, "figures": rows}, f, indent=1)
        f.write("\n")


STEP, MIDDLE, LINE, TOP, LEAST, MOST = 60, 610, 20, 62, -3, 6  # pixels a doubling, of 1x, a row, above rows; doublings


def bar(y, height, better, colours):
    """From the middle to the right: `better` times better; to the left: worse."""
    doublings = max(LEAST, min(MOST, math.log2(better)))
    x, width = MIDDLE + min(0, doublings) * STEP, abs(doublings) * STEP
    return f'<rect x="{x:.1f}" y="{y}" width="{max(width, 1):.1f}" height="{height}" fill="{colours[better < 1]}"/>'


def save_svg(path, figures, title, called, against=(("stock", ("#2a7d4f", "#b3412f")), ("tuned", ("#9ccbb0", "#e0a89d")))):
    """For each figure a bar to each of the others: how many times better (to the right) or worse; a step doubles."""
    rows = [(item, f"{name}, {unit}", more, m) for item, name, unit, more, m, _ in figures.medians()
            if m.get("hub") and any(m.get(other) for other, _ in against)]
    height = TOP + LINE * (len(rows) + 2 * len({r[0] for r in rows})) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="1240" height="{height}" font-family="sans-serif" '
           f'font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="10" y="22" font-size="16">{escape(title)}</text>',
           f'<text x="10" y="42" fill="#555">How many times better than {escape(called[against[0][0]])} (dark) and '
           f'{escape(called[against[1][0]])} (light); to the left: worse. At the right: the three medians.</text>']
    for power in range(LEAST, MOST + 1):
        x = MIDDLE + power * STEP
        out.append(f'<line x1="{x}" y1="{TOP - 4}" x2="{x}" y2="{height - 24}" stroke="{"#ddd" if power else "#888"}"/>')
        label = f"{2 ** power}\u00d7" if power >= 0 else f"1/{2 ** -power}"
        out.append(f'<text x="{x}" y="{height - 8}" text-anchor="middle" fill="#555">{label}</text>')
    y, last = TOP, None
    for item, name, more, medians in rows:
        if item != last:
            y += LINE if last else 0
            out.append(f'<text x="10" y="{y + 14}" font-weight="bold">{item}. {escape(ITEMS[item])}</text>')
            y += LINE
            last = item
        ours = medians["hub"]
        out.append(f'<text x="402" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        for i, (other, colours) in enumerate(against):
            theirs = medians.get(other)
            if theirs:
                out.append(bar(y + 2 + 9 * i, 9 - 2 * i, ours / theirs if more else theirs / ours, colours))
        texts = [short(ours)] + [short(medians[o]) for o, _ in against if medians.get(o) is not None]
        out.append(f'<text x="1230" y="{y + 14}" text-anchor="end">{" : ".join(texts)}</text>')
        y += LINE
    out.append("</svg>")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")
