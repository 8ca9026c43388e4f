# SPDX-License-Identifier: MIT
"""What is wanted of each figure: a ratio to another column of the same run, or a number. Met or not, the run goes on."""
import figures
from report import ratio, short

UP, DOWN = (figures.ARROW[way] for way, _ in figures.WAYS)
STOCK_TCP, TRAINS, STATION = "TCP in a stock client", "trains of 32 1400-byte packets", "TCP in a client that sends trains"
GB, MILLION, MBIT, EACH = "CPU-s/GB", "CPU-s/million", "Mbit/s", "CPU-ms each"


def at_most(item, name, unit, than, most, ours="hub"):
    return {"item": item, "name": name, "unit": unit, "ours": ours, "than": than, "most": most, "least": None}


def at_least(item, name, unit, than, least, ours="hub"):
    """`than` None: the figure itself, not a ratio."""
    return {"item": item, "name": name, "unit": unit, "ours": ours, "than": than, "most": None, "least": least}


def both(name):
    return [f"{name}, {arrow}" for arrow in (UP, DOWN)]


WANTED = [
    *(at_most(1, name, GB, "stock", 1 / by) for name, by in zip(both(STOCK_TCP), (5, 6))),
    *(at_most(1, name, GB, "tuned", 1 / 3) for name in both(STOCK_TCP)),
    *(at_most(1, name, GB, "stock", 1 / 9) for what in (TRAINS, STATION) for name in both(what)),
    *(at_most(1, name, GB, "wireguard", 1 / 2) for name in both(STOCK_TCP)),
    *(at_least(2, name, MBIT, None, 5000) for name in both("TCP, one client that sends trains")),
    *(at_most(3, name, MILLION, "stock", 1 / 5) for name in both("64-byte packets flooded by a stock client")),
    *(at_most(3, name, MILLION, "stock", 1 / 8) for name in both("trains of 32 64-byte packets flooded")),
    *(at_most(3, name, MILLION, "stock", 1 / 2.5) for name in both("64-byte packets, 20,000/s")),
    at_most(4, "full handshakes, ECDSA P-256", EACH, "stock", 1 / 3),
    at_most(4, "full handshakes, RSA-2048", EACH, "stock", 1 / 1.5),
    *(at_most(5, f"memory (PSS) with {count} clients", "KiB a client", "stock", 1 / 3) for count in (1000, 5000)),
    at_most(6, f"ping {figures.AT_STOCKS_LIMIT}, p99", "ms", "stock", 1 / 3),
    *(at_most(6, f"ping idle, {where}, p50", "ms", "stock", 1) for where in ("on one CPU with its server", "on another CPU")),
    *(at_least(7, f"the same, if the workers had a core each, {arrow}", "packets/s", "one worker", 1.8,
               ours=figures.HANDED[0])
      for arrow in (UP, DOWN)),
    {"item": 7, "name": "packets handed to another worker", "unit": "%", "ours": figures.HANDED[0], "than": None,
     "most": 1, "least": None},
    *(at_most(8, figures.trains_at(rate, way), MILLION, figures.FRAMING, most, ours=ours)
      for ours, most in ((figures.ENCRYPTING, 1.25), (figures.CHACHA, 1.8))
      for rate in (figures.SAME_RATE[ours], None) for way in figures.ARROW),
]


def judge(all_figures):
    """[{... wanted, value, met, kernels_part}]: what was measured beside what is wanted; value None where it was not measured.
    `kernels_part`: the value if all time outside the kernel were none."""
    medians = {(item, name, unit): row for item, name, unit, _, row, _ in all_figures.medians()}
    out = []
    for wanted in WANTED:
        row = medians.get((wanted["item"], wanted["name"], wanted["unit"]), {})
        ours = row.get(wanted["ours"])
        value = ours if wanted["than"] is None else ratio(ours, row.get(wanted["than"]))
        kernels = medians.get((wanted["item"], wanted["name"] + figures.KERNELS_PART, wanted["unit"]), {}).get(wanted["ours"])
        met = None
        if value is not None:
            met = value <= wanted["most"] if wanted["most"] is not None else value >= wanted["least"]
        out.append({**wanted, "value": value, "met": met,
                    "kernels_part": ratio(kernels, row.get(wanted["than"])) if kernels else None})
    return out


def limit(t):
    if t["than"] is None:
        return f"{'<=' if t['most'] is not None else '>='} {short(t['most'] or t['least'])}"
    return f"<= {t['most']:.3g}" if t["most"] is not None else f">= {t['least']:.3g}"


def table(judged, items, called):
    lines = ["", "Wanted", f"   {'':64}{'beside':>24}{'is':>10}{'wanted':>10}"]
    for t in judged:
        if t["item"] not in items:
            continue
        ours = "" if t["ours"] == "hub" else f" ({t['ours']})"
        text = f"{t['item']}. {t['name']}, {t['unit']}{ours}"
        beside = "the figure itself" if t["than"] is None else called.get(t["than"], t["than"])
        verdict = "not measured" if t["met"] is None else "met" if t["met"] else "NOT MET"
        if t["met"] is False and t["kernels_part"] is not None:
            verdict += f" (the kernel's part alone is {short(t['kernels_part'])})"
        lines.append(f"   {text:64}{beside[:22]:>24}{short(t['value']):>10}{limit(t):>10}  {verdict}")
    count = sum(t["met"] is True for t in judged), sum(t["met"] is not None for t in judged)
    return lines + [f"   {count[0]} of {count[1]} met"]
