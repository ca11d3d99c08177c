import { h } from "./dom.js";

const VENDOR = new URL("../vendor/uplot/", import.meta.url);
const dark = matchMedia("(prefers-color-scheme: dark)");

let loading = null;

/** The plots' code and style, fetched when the first plot is made. */
function load() {
  loading ??= (async () => {
    document.head.append(h("link", { rel: "stylesheet", href: new URL("uPlot.min.css", VENDOR) }));
    return (await import(new URL("uPlot.esm.js", VENDOR))).default;
  })();
  return loading;
}

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Lines that grow: shares over the number of visitors, each beside the share that is expected of it. */
export class SharesChart {
  constructor() {
    this.element = h("div.chart", { role: "img" });
    this.plot = null;
    this.names = [];
    this.data = [[]];
    this.watcher = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.watcher.observe(this.element);
    this.recolour = () => this.make();
    dark.addEventListener("change", this.recolour);
  }

  end() {
    this.watcher.disconnect();
    dark.removeEventListener("change", this.recolour);
    this.plot?.destroy();
  }

  size() {
    return { width: Math.max(200, this.element.clientWidth), height: 200 };
  }

  /** Show lines, one a name; `data` is the x values and then each line's. */
  async show(names, expected, data, label) {
    this.element.setAttribute("aria-label", label);
    this.data = data;
    if (names.join("\n") !== this.names.join("\n") || this.plot === null) {
      this.names = names;
      this.expected = expected;
      await this.make();
    } else this.plot.setData(data);
  }

  async make() {
    const Plot = await load();
    this.plot?.destroy();
    const grid = { stroke: ink("--line"), width: 1 };
    const axis = { stroke: ink("--dim"), grid, ticks: grid, font: "11px sans-serif" };
    const { expected } = this;
    this.plot = new Plot(
      {
        ...this.size(),
        legend: { show: false },
        cursor: { y: false },
        scales: { x: { time: false }, y: { range: (_, least, most) => bounds(least, most, expected) } },
        axes: [
          { ...axis, values: (_, values) => values.map((each) => each.toLocaleString("en")) },
          { ...axis, size: 52, values: (_, values) => values.map((each) => `${+(100 * each).toFixed(2)} %`) },
        ],
        series: [{}, ...this.names.map((label, index) => ({ label, stroke: ink(`--c${index % 8}`), width: 2, points: { show: false } }))],
        hooks: { draw: [(plot) => expected.forEach((share, index) => dashed(plot, share, ink(`--c${index % 8}`)))] },
      },
      this.data,
      this.element,
    );
  }
}

function bounds(least, most, expected) {
  const values = [least, most, ...expected].filter((each) => each !== null && Number.isFinite(each));
  if (!values.length) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const spare = Math.max(0.01, (high - low) * 0.12);
  return [Math.max(0, low - spare), Math.min(1, high + spare)];
}

function dashed(plot, share, stroke) {
  const y = plot.valToPos(share, "y", true);
  const { left, width } = plot.bbox;
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = stroke;
  ctx.globalAlpha = 0.7;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(left, y);
  ctx.lineTo(left + width, y);
  ctx.stroke();
  ctx.restore();
}
