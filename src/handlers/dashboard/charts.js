// Charts: lines and stacked areas over the last five minutes, drawn as SVG. A chart is told what to show; what the
// numbers mean, it does not know.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Room above the plot for marks, below it for times.
const TOP = 18;
const BOTTOM = 20;
// Room for the values of the axis.
const LEFT = 46;
const HEIGHT = 168;
const DECADES = [100, 1000, 10_000, 100_000, 1e6, 10e6, 100e6];

class Chart {
  // `title`; `series`: [{ name, tone, stroke, area, hatch, value(sample) }]; `stacked`; `scale`: "decades", or linear if it
  // is left out; `format(value, series, sample)`; `axis(value)`; `big(sample)`: the big number and what stands behind
  // it; `facts`: [{ name, text(samples) }], told in place of the series' values; `look(at)`: the reader looks back or forth.
  constructor(options) {
    Object.assign(this, options);
    this.width = 0;
    this.root = this.make();
    new ResizeObserver(([entry]) => {
      this.width = Math.round(entry.contentRect.width);
      if (this.shown) this.show(...this.shown);
    }).observe(this.plot);
  }

  make() {
    this.time = html("time");
    this.number = html("b", { class: "big" });
    this.told = this.facts ?? this.series;
    this.values = this.told.map(() => html("dd"));
    const legend = html("dl", { class: "legend" }, ...this.told.map((one, place) =>
      html("div", {}, this.facts ? "" : sampleOfStroke(one, this.stacked), html("dt", {}, one.name), this.values[place])));
    this.layers = this.series.map((one) => this.stacked
      ? [svg("path", { class: `area tone-${one.tone}` }), one.hatch ? svg("path", { fill: `url(#hatch-${one.hatch})` }) : null]
      : [one.area ? svg("path", { class: `area faint tone-${one.tone}` }) : null, svg("path", { class: `stroke ${one.stroke ?? ""} tone-${one.tone}` })]);
    this.gridLines = svg("g");
    this.marks = svg("g");
    this.cursor = svg("line", { class: "cursor", hidden: "", y1: TOP, y2: HEIGHT - BOTTOM });
    // The later ones of a stack lie on top of it, so that all are seen.
    const layers = svg("g", {}, ...this.layers.flat().filter(Boolean));
    this.plot = svg("svg", { class: "plot", role: "img", tabindex: "0", "aria-label": `${this.title}: nothing yet` },
      this.gridLines, layers, this.marks, this.cursor);
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.look(null));
    this.plot.addEventListener("blur", () => this.look(null));
    this.plot.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
      if (event.key === "Escape") this.look(null);
      else if (event.key in steps) this.look({ step: steps[event.key] });
      else return;
      event.preventDefault();
    });
    const head = html("header", {}, html("h2", {}, this.title), this.time);
    return html("figure", { class: "card chart" }, head, this.number, legend, this.plot);
  }

  point(event) {
    const { left } = this.plot.getBoundingClientRect();
    const [, end] = this.shown ?? [];
    const part = (event.clientX - left - LEFT) / (this.width - LEFT);
    if (end) this.look({ time: end - (1 - part) * PAST_SECONDS * 1000 });
  }

  x(time, end) {
    const part = 1 - (end - time) / (PAST_SECONDS * 1000);
    return Math.round((LEFT + part * (this.width - LEFT)) * 10) / 10;
  }

  // Draws the samples up to `end`, marks [{ time, tone, glyph, text }], and the sample that the reader looks at, if any.
  show(samples, end, marks, looked) {
    this.shown = [samples, end, marks, looked];
    if (this.width === 0) return;
    const stack = samples.map((sample) => this.stackOf(sample));
    const highest = Math.max(0, ...stack.flat().filter((value) => value !== null));
    const scale = this.scale === "decades" ? decades(stack) : upTo(highest, this.least ?? 1);
    this.y = (value) => Math.round((TOP + (1 - scale.place(value)) * (HEIGHT - TOP - BOTTOM)) * 10) / 10;
    this.drawGrid(scale.lines, end);
    this.drawLayers(samples, stack, end);
    this.drawMarks(marks, end);
    this.tell(samples, marks, looked, end);
  }

  // The upper edge of each series at a sample.
  stackOf(sample) {
    let below = 0;
    return this.series.map((one) => {
      const value = one.value(sample);
      if (!this.stacked) return value;
      below += value ?? 0;
      return below;
    });
  }

  drawGrid(lines, end) {
    this.plot.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    const parts = [];
    for (const value of lines) {
      const y = Math.round(this.y(value)) + 0.5;
      parts.push(svg("path", { class: value === lines[0] ? "grid base" : "grid", d: `M${LEFT} ${y}H${this.width}` }));
      parts.push(svg("text", { x: LEFT - 8, y: y + 3.5, "text-anchor": "end" }, this.axis(value)));
    }
    for (let minute = 0; minute <= 5; minute++) {
      const x = this.x(end - minute * 60_000, end);
      const anchor = minute === 0 ? "end" : minute === 5 ? "start" : "middle";
      const text = minute === 0 ? "now" : minute === 5 ? "−5 min" : `−${minute}`;
      parts.push(svg("text", { x, y: HEIGHT - 4, "text-anchor": anchor }, text));
    }
    this.gridLines.replaceChildren(...parts);
  }

  drawLayers(samples, stack, end) {
    const xs = samples.map((sample) => this.x(sample.time_ms, end));
    const base = HEIGHT - BOTTOM;
    this.layers.forEach((paths, layer) => {
      const upper = runs(samples, (place) => stack[place][layer], (place) => [xs[place], this.y(stack[place][layer])]);
      if (!this.stacked) {
        paths[0]?.setAttribute("d", upper.map((run) => `${line(run)}L${run.at(-1)[0]} ${base}L${run[0][0]} ${base}Z`).join(""));
        paths[1].setAttribute("d", upper.map(line).join(""));
        return;
      }
      const lower = runs(samples, (place) => stack[place][layer],
        (place) => [xs[place], layer > 0 ? this.y(stack[place][layer - 1]) : base]);
      const d = upper.map((run, nth) => `${line(run)}L${lower[nth].toReversed().map((point) => point.join(" ")).join("L")}Z`).join("");
      for (const path of paths) path?.setAttribute("d", d);
    });
  }

  drawMarks(marks, end) {
    let free = -Infinity;
    const drawn = marks.map(({ time, tone, glyph, text }) => {
      const x = this.x(time, end);
      const mark = svg("g", { class: `mark tone-${tone}` }, svg("line", { x1: x, x2: x, y1: TOP - 4, y2: HEIGHT - BOTTOM }),
        svg("path", { d: glyph, transform: `translate(${x} ${TOP - 10})` }));
      // Where two are near, the first has its text, and the list of reloads has both.
      const room = 8 + text.length * 6.2;
      const isLeft = x + room > this.width;
      const from = isLeft ? x - room : x;
      if (from > free) {
        mark.append(svg("text", { x: isLeft ? x - 9 : x + 9, y: TOP - 6, "text-anchor": isLeft ? "end" : "start" }, text));
        free = isLeft ? x + 6 : x + room;
      }
      return mark;
    });
    this.marks.replaceChildren(...drawn);
  }

  // The numbers: those of now, or of the time that the reader looks at.
  tell(samples, marks, looked, end) {
    const sample = looked ?? samples.at(-1) ?? null;
    const texts = this.told.map((one) => {
      if (this.facts) return one.text(samples);
      const value = sample && one.value(sample);
      return value === null ? "–" : this.format(value, one, sample);
    });
    setText(this.time, looked ? clock.format(looked.time_ms) : "");
    const [big, unit] = sample ? this.big(sample) : ["–", ""];
    if (this.number.dataset.shown !== big + unit) {
      this.number.dataset.shown = big + unit;
      this.number.replaceChildren(big, unit ? html("small", {}, ` ${unit}`) : "");
    }
    texts.forEach((text, place) => setText(this.values[place], text));
    this.cursor.toggleAttribute("hidden", !looked);
    if (looked) {
      const x = this.x(looked.time_ms, end);
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
    }
    const when = looked ? `at ${clock.format(looked.time_ms)}` : "now";
    const parts = this.told.map((one, place) => `${one.name} ${texts[place]}`).join(", ");
    const told = marks.map(({ time, text }) => `${text} at ${clock.format(time)}`).join("; ");
    const label = sample
      ? `${this.title}, the last five minutes. ${when[0].toUpperCase()}${when.slice(1)}: ${big} ${unit}${parts ? `; ${parts}` : ""}.${told ? ` Marks: ${told}.` : ""}`
      : `${this.title}: nothing yet`;
    if (this.plot.getAttribute("aria-label") !== label) this.plot.setAttribute("aria-label", label);
  }
}

// The runs of samples between which no line is drawn: those without a value, and gaps.
function runs(samples, value, point) {
  const all = [];
  let run = null;
  samples.forEach((sample, place) => {
    if (value(place) === null) {
      run = null;
      return;
    }
    if (!run || sample.gap) all.push(run = []);
    run.push(point(place));
  });
  return all;
}

// A line through points; a single one is a dot.
const line = (points) => `M${points.map((point) => point.join(" ")).join("L")}${points.length === 1 ? "h.01" : ""}`;

// A scale from 0 to a round number that is not below `highest`.
function upTo(highest, least) {
  const wanted = Math.max(highest, least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const top = [1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((value) => value >= wanted * 0.999);
  return { lines: [0, top / 2, top], place: (value) => value / top };
}

// A scale of decades of microseconds, so that a median and a tail can both be read.
function decades(stack) {
  const values = stack.flat().filter((value) => value !== null && value > 0);
  const [least, most] = values.length ? [Math.min(...values), Math.max(...values)] : [DECADES[0], DECADES[3]];
  const low = DECADES.slice(0, -1).findLast((decade) => decade <= least) ?? DECADES[0];
  const high = DECADES.find((decade) => decade >= most && decade > low) ?? DECADES.at(-1);
  const lines = DECADES.filter((decade) => decade >= low && decade <= high);
  const span = Math.log10(high / low);
  return { lines, place: (value) => Math.min(1, Math.max(0, Math.log10(Math.max(value, low) / low) / span)) };
}

// A small picture of how a series is drawn.
function sampleOfStroke({ tone, stroke, hatch }, stacked) {
  const box = svg("svg", { viewBox: "0 0 18 11", "aria-hidden": "true", class: `tone-${tone}` });
  if (!stacked) box.append(svg("path", { class: `stroke ${stroke ?? ""}`, d: "M1 6H17" }));
  else box.append(svg("rect", { class: "area", x: 3, width: 12, height: 11, rx: 2 }));
  if (stacked && hatch) box.append(svg("rect", { fill: `url(#hatch-${hatch})`, x: 3, width: 12, height: 11, rx: 2 }));
  return box;
}

// The patterns over areas whose colours some readers cannot tell apart.
function hatches() {
  const hatch = (name, angle) => svg("pattern", { id: `hatch-${name}`, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` },
    svg("path", { class: "hatch", d: "M0 0V5" }));
  return svg("svg", { class: "hatches", "aria-hidden": "true" }, svg("defs", {}, hatch("right", 45), hatch("left", -45)));
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
