"""Draws the dashboard of template.yaml as docs/dashboard.svg, and checks the picture and the metrics.

The picture has the widgets in the places of the definition, with their titles and a line for each of
the first metrics. The numbers are made up. `LANDFALL_UPDATE=1` draws it again. Each of the stack's own metrics on the dashboard must be written by
functions/output/src/metrics.rs or made by a metric filter of the template.
"""

import json
import math
import os
import re
import sys
from xml.sax.saxutils import escape

import stack as stacks

PICTURE = stacks.ROOT / "docs/dashboard.svg"
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728")
UNIT, MARGIN, POINTS = 38, 8, 49


def widgets(stack):
    return json.loads(stack.of("AWS::CloudWatch::Dashboard")["Overview"]["DashboardBody"])["widgets"]


def series(widget):
    """(label, metric) of each line."""
    for metric in widget["properties"]["metrics"]:
        options = metric[-1]
        found = re.search(r'MetricName="(\w+)"', options.get("expression", ""))
        yield options["label"], found[1] if found else metric[1]


def problems(stack):
    source = (stacks.ROOT / "functions/output/src/metrics.rs").read_text()
    made = set(re.findall(r'\("(\w+)", "[A-Z][A-Za-z/]+"\)', source))
    made |= {f["MetricTransformations"][0]["MetricName"] for f in stack.of("AWS::Logs::MetricFilter").values()}
    taken = set()
    for widget in widgets(stack):
        title = widget["properties"]["title"]
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        if cells & taken or max(x for x, _ in cells) > 23:
            yield f"{title} lies over another widget, or beyond the edge"
        taken |= cells
        for metric in widget["properties"]["metrics"]:
            for name in re.findall(rf'Landfall/{stacks.STACK}",kind}} MetricName="(\w+)"', metric[-1].get("expression", "")):
                if name not in made:
                    yield f"{title} shows {name}, which nobody writes"
    throttled = {m[3] for w in widgets(stack) for m in w["properties"]["metrics"] if m[:2] == ["AWS/Lambda", "Throttles"]}
    for name in stack.of("AWS::Lambda::Function"):
        if name not in throttled:
            yield f"nothing shows that {name} is throttled"
    shown = {metric for widget in widgets(stack) for _, metric in series(widget)}
    for name in sorted(made - shown):
        yield f"{name} is written and not shown"


def picture(stack):
    found = widgets(stack)
    height = max(w["y"] + w["height"] for w in found) * UNIT + MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{24 * UNIT + MARGIN}" height="{height}" font-family="sans-serif">'
    yield f'<rect width="100%" height="100%" fill="#f2f3f3"/>'
    for number, widget in enumerate(found):
        x, y = widget["x"] * UNIT + MARGIN, widget["y"] * UNIT + MARGIN
        wide, high = widget["width"] * UNIT - MARGIN, widget["height"] * UNIT - MARGIN
        yield f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" fill="#fff" stroke="#d5dbdb"/>'
        yield f'<text x="{x + 10}" y="{y + 20}" font-size="12" font-weight="bold">{escape(widget["properties"]["title"])}</text>'
        left, top, right, bottom = x + 14, y + 40, x + wide - 14, y + high - 34
        for line in range(4):
            at = top + (bottom - top) * line / 3
            yield f'<path d="M{left} {at:.0f}H{right}" stroke="#eaeded"/>'
        for place, (label, _) in enumerate(list(series(widget))[: len(COLOURS)]):
            colour = COLOURS[place % len(COLOURS)]
            heights = [
                0.5 + 0.3 * math.sin(n / (4 + number % 5) + number) + 0.12 * math.sin(n * 1.7 + place) - 0.2 * place
                for n in range(POINTS)
            ]
            points = " ".join(
                f"{left + (right - left) * n / (POINTS - 1):.1f},{bottom - (bottom - top) * max(0.02, value):.1f}"
                for n, value in enumerate(heights)
            )
            yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            at = x + 14 + place * 110
            yield f'<rect x="{at}" y="{y + high - 18}" width="10" height="10" fill="{colour}"/>'
            yield f'<text x="{at + 15}" y="{y + high - 9}" font-size="11">{escape(label)}</text>'
    yield "</svg>"


def main():
    stack = stacks.stack(stacks.EVERYTHING)
    drawn = "\n".join(picture(stack)) + "\n"
    if os.environ.get("LANDFALL_UPDATE"):
        PICTURE.write_text(drawn)
    found = list(problems(stack))
    if not PICTURE.is_file() or PICTURE.read_text() != drawn:
        found.append("docs/dashboard.svg is not drawn from this definition; LANDFALL_UPDATE=1 draws it anew")
    # The check notices faults.
    body = stack.of("AWS::CloudWatch::Dashboard")["Overview"]
    for of, by in (
        ('MetricName=\\"Rows\\"', 'MetricName=\\"Lines\\"'),
        ('"x": 12, "y": 0', '"x": 11, "y": 0'),
        ('"Throttles"', '"Errors"'),
    ):
        right, body["DashboardBody"] = body["DashboardBody"], body["DashboardBody"].replace(of, by)
        if right == body["DashboardBody"] or not list(problems(stack)):
            found.append(f"did not notice {by}")
        body["DashboardBody"] = right
    for problem in found:
        print(f"FAILED {problem}")
    print(f"{len(widgets(stack))} widgets, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
