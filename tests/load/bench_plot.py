"""Plots as SVG, for light and dark pages: rows/s by way, with a bar to the median, a dot for each round, a line at @base; and
latency by load, with a bar from p50 to p99."""

import math
from collections.abc import Sequence
from statistics import median
from xml.sax.saxutils import escape

from bench_ways import DaemonWay, Run, Way

WIDTH, LEFT, RIGHT, TOP, LINE = 800, 20, 90, 62, 46
BAR_Y, BAR = 20, 14  # below the label's line
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
    .title { font-size: 15px; font-weight: 600; }
    .small { font-size: 11px; fill: #59636e; }
    .page { fill: #ffffff; }
    .grid { stroke: #d1d9e0; }
    .base { stroke: #59636e; stroke-dasharray: 4 3; }
    .daemon { fill: #0969da; }
    .rival { fill: #afb8c1; }
    .dot { fill: #ffffff; stroke: #1f2328; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; stroke: #0d1117; }
      .small { fill: #9198a1; }
      .page { fill: #0d1117; }
      .grid { stroke: #3d444d; }
      .base { stroke: #9198a1; }
      .daemon { fill: #4493f8; }
      .rival { fill: #656c76; }
      .dot { fill: #0d1117; stroke: #e6edf3; }
    }
"""


def step_of(top: float) -> float:
    """A round distance between grid lines, of which four to eight fit below @top."""
    step = 10 ** math.floor(math.log10(top / 4))
    return next(step * factor for factor in (1, 2, 2.5, 5, 10) if top / (step * factor) <= 8)


def plot(ways: Sequence[Way], runs: dict[str, list[Run]], base: str, title: str) -> str:
    height = TOP + LINE * len(ways) + 24
    top = max(run.rate for way in ways for run in runs[way.name])
    step = step_of(top)

    def x(rate: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * rate / top:.1f}"

    bottom = height - 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img">\n  <title>{escape(title)}</title>\n  <style>{STYLE}  </style>\n'
        f'  <rect class="page" width="{WIDTH}" height="{height}" rx="6"/>\n'
        f'  <text class="title" x="{LEFT}" y="26">Rows stored per second</text>\n'
        f'  <text class="small" x="{LEFT}" y="44">{escape(title)}</text>\n'
    ]
    for i in range(int(top / step) + 1):
        at = x(i * step)
        parts.append(f'  <line class="grid" x1="{at}" y1="{TOP - 6}" x2="{at}" y2="{bottom}"/>\n'
                     f'  <text class="small" x="{at}" y="{bottom + 15}" text-anchor="middle">{i * step:,.0f}</text>\n')
    for i, way in enumerate(ways):
        rates, y = [run.rate for run in runs[way.name]], TOP + i * LINE
        parts.append(f'  <text x="{LEFT + 4}" y="{y + 13}">{escape(way.label)}</text>\n'
                     f'  <rect class="{way.color}" x="{LEFT}" y="{y + BAR_Y}" '
                     f'width="{float(x(median(rates))) - LEFT:.1f}" height="{BAR}"/>\n')
        parts += [f'  <circle class="dot" cx="{x(rate)}" cy="{y + BAR_Y + BAR / 2}" r="3.5"/>\n' for rate in rates]
        parts.append(f'  <text x="{float(x(max(rates))) + 10:.1f}" y="{y + BAR_Y + 11.5}">{median(rates):,.0f}</text>\n')
    at = x(median(run.rate for run in runs[base]))
    parts.append(f'  <line class="base" x1="{at}" y1="{TOP - 6}" x2="{at}" y2="{bottom}"/>\n')
    return "".join(parts) + "</svg>\n"


def plot_latency(lines: Sequence[tuple[str, DaemonWay, list[Run]]]) -> str:
    """A bar from p50 to p99 for each load and daemon; the last daemon in colour. A logarithmic scale."""
    def of(runs: list[Run], name: str) -> float:
        return max(0.01, median(run.latency_ms[name] for run in runs))

    line, left = 24, 300
    height = TOP + line * len(lines) + 24
    low = math.floor(math.log10(min(of(runs, "p50") for _, _, runs in lines)))
    high = math.ceil(math.log10(max(of(runs, "p99") for _, _, runs in lines)))
    last = lines[-1][1].name

    def x(ms: float) -> float:
        return left + (WIDTH - left - RIGHT) * (math.log10(ms) - low) / max(1, high - low)

    bottom = height - 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img">\n  <title>Ack latency by load</title>\n  <style>{STYLE}  </style>\n'
        f'  <rect class="page" width="{WIDTH}" height="{height}" rx="6"/>\n'
        f'  <text class="title" x="{LEFT}" y="26">From line to ack, in milliseconds</text>\n'
        f'  <text class="small" x="{LEFT}" y="44">each bar reaches from the median to p99</text>\n'
    ]
    for power in range(low, high + 1):
        at = f"{x(10.0**power):.1f}"
        parts.append(f'  <line class="grid" x1="{at}" y1="{TOP - 6}" x2="{at}" y2="{bottom}"/>\n'
                     f'  <text class="small" x="{at}" y="{bottom + 15}" text-anchor="middle">{10.0**power:g}</text>\n')
    for i, (label, way, runs) in enumerate(lines):
        p50, p99, y = of(runs, "p50"), of(runs, "p99"), TOP + i * line
        parts.append(f'  <text class="small" x="{left - 10}" y="{y + 12}" text-anchor="end">{escape(label)}</text>\n'
                     f'  <rect class="{"daemon" if way.name == last else "rival"}" x="{x(p50):.1f}" y="{y + 2}" '
                     f'width="{max(2.0, x(p99) - x(p50)):.1f}" height="{BAR}"/>\n'
                     f'  <text class="small" x="{x(p99) + 6:.1f}" y="{y + 12}">{p50:,.1f} … {p99:,.1f}</text>\n')
    return "".join(parts) + "</svg>\n"
