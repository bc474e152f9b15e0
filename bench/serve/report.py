"""Report: medians over rounds, text tables, machine description, and a small SVG plot."""
import os
import pathlib
import platform
import statistics
import subprocess


def median(results, key):
    return statistics.median(result[key] for result in results)


def summary(results):
    """Median of every number over the rounds, and the range of the CPU figure."""
    out = {key: median(results, key) for key, value in results[0].items() if isinstance(value, (int, float))}
    if "cpu_us" in out:
        out["cpu_us_range"] = [min(r["cpu_us"] for r in results), max(r["cpu_us"] for r in results)]
    out["rounds"] = len(results)
    return out


def number(value):
    """Three digits that matter."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(heads, rows):
    """Aligned columns: the first to the left, the others to the right."""
    cells = [heads] + [[number(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = []
    for row in cells:
        first = row[0].ljust(widths[0])
        lines.append("  " + "  ".join([first] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip())
    lines.insert(1, "  " + "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(lines)


def verdict(good):
    return "yes" if good else "NO"


def machine():
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    return {"processor": model, "cores": len(os.sched_getaffinity(0)), "memory_gb": round(memory, 1),
            "kernel": platform.release(), "load_average": os.getloadavg()[0]}


def versions(build):
    out = {}
    for name, command in {"brim": [str(build / "bin/brim"), "--version"], "h2load": ["h2load", "--version"],
                          "grpc++": ["pkg-config", "--modversion", "grpc++"]}.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            out[name] = done.stdout.strip()
        except OSError as error:
            out[name] = f"absent ({error.strerror})"
    return out


def plot(path, title, xs, lines):
    """lines: {label: values}. Each is scaled to its own maximum, printed in the legend; x positions are even."""
    width, height, left, top, bottom = 640, 360, 50, 60, 40
    colours = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df"]
    step = (width - 2 * left) / max(1, len(xs) - 1)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
             f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>'
             f'<text x="{left}" y="20" font-size="15">{title}</text>']
    for i, x in enumerate(xs):
        parts.append(f'<text x="{left + i * step}" y="{height - 15}" text-anchor="middle">{x}</text>')
    for (label, values), colour in zip(lines.items(), colours):
        scale = (height - top - bottom) / (max(values) * 1.1 or 1)
        points = [(left + i * step, height - bottom - value * scale) for i, value in enumerate(values)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
                     + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>')
        for (x, y), value in zip(points, values):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                         f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle" fill="{colour}">{number(value)}</text>')
        parts.append(f'<text x="{left + 180 * list(lines).index(label)}" y="42" fill="{colour}">{label}</text>')
    pathlib.Path(path).write_text("".join(parts) + "</svg>\n")
