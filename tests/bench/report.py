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


def save_svg(path, figures, title, called, against="stock"):
    """A bar for each figure: how many times better (to the right) or worse than `against`; each step doubles."""
    rows = [(item, f"{name}, {unit}", more, m["hub"], m[against]) for item, name, unit, more, m, _ in figures.medians()
            if m.get("hub") and m.get(against)]
    line, left, middle, step, top = 18, 410, 610, 60, 62
    items = sorted({r[0] for r in rows})
    height = top + line * (len(rows) + 2 * len(items)) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="1180" height="{height}" font-family="sans-serif" '
           f'font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="10" y="22" font-size="16">{escape(title)}</text>',
           f'<text x="10" y="42" fill="#555">How many times better than {escape(called[against])}; to the left: worse. '
           'At the right: the medians.</text>']
    for power in range(-3, 7):
        x = middle + power * step
        out.append(f'<line x1="{x}" y1="{top - 4}" x2="{x}" y2="{height - 24}" stroke="{"#888" if not power else "#ddd"}"/>')
        label = f"{2 ** power}×" if power >= 0 else f"1/{2 ** -power}"
        out.append(f'<text x="{x}" y="{height - 8}" text-anchor="middle" fill="#555">{label}</text>')
    y, last = top, None
    for item, name, more, ours, theirs in rows:
        if item != last:
            y += line if last else 0
            out.append(f'<text x="10" y="{y + 13}" font-weight="bold">{item}. {escape(ITEMS[item])}</text>')
            y += line
            last = item
        better = max(-3.0, min(6.0, math.log2(ours / theirs if more else theirs / ours)))
        x, width = (middle, better * step) if better >= 0 else (middle + better * step, -better * step)
        out.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        out.append(f'<rect x="{x:.1f}" y="{y + 3}" width="{max(width, 1):.1f}" height="{line - 6}" '
                   f'fill="{"#2a7d4f" if better >= 0 else "#b3412f"}"/>')
        out.append(f'<text x="1170" y="{y + 13}" text-anchor="end">{short(ours)} : {short(theirs)}</text>')
        y += line
    out.append("</svg>")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")
