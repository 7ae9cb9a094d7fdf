// What can be plotted over the sweep. `of` makes one number a run, or one for the cell.
const METRICS = [
  { name: "Throughput", unit: "GiB/s", about: "Bytes of all devices a second, from sending the first transfer to the answer to the last; Flush is not part of it. Small dots are single runs, the dashed line is one thread copying in memory with the same buffers.", of: (r) => r.runs.map((run) => gib(run) / run.seconds), copy: (cell) => (copyOf(cell)?.median ?? NaN) / GIB },
  { name: "Share of memcpy", unit: "%", about: "Throughput as a part of what one thread copies with the same buffers. It can exceed 100 %, as sender and receiver work at once.", of: (r) => r.runs.map((run) => (100 * run.bytes) / run.seconds / (copyOf(r.cell)?.median ?? NaN)), copy: () => 100 },
  { name: "CPU time", unit: "s/GiB", about: "CPU seconds of the client's processes and of the server half together, for a GiB.", of: (r) => r.runs.map((run) => (run.clientCpuSeconds + run.serverCpuSeconds) / gib(run)) },
  { name: "Client's CPU time", unit: "s/GiB", about: "CPU seconds of the client's processes alone, for a GiB.", of: (r) => r.runs.map((run) => run.clientCpuSeconds / gib(run)) },
  { name: "Context switches", unit: "/GiB", about: "Of the client's threads and of the server half, for a GiB: how often a side slept, or lost its CPU.", of: (r) => (counted(r) ? r.runs.map((run) => (run.clientContextSwitches + run.serverContextSwitches) / gib(run)) : []) },
  { name: "In flight", unit: "commands", about: "Commands between being sent and being answered, on average. Less than BUFFERCOUNT means that the server half is what the stream waits for.", of: (r) => r.runs.map((run) => run.inFlight) },
  { name: "GetCommand", unit: "µs, p50", about: "How long the client waits in GetCommand: the median. Long waits mean a client that is faster than its server.", of: (r) => [r.stages?.getCommand.p50] },
  { name: "Client's work", unit: "µs, p50", about: "From GetCommand's return to the call of CompleteCommand: the median.", of: (r) => [r.stages?.clientWork.p50] },
  { name: "Round trip", unit: "µs, p99", about: "From sending a command to seeing its answer, queues included: what 99 of 100 do not exceed.", of: (r) => [r.stages?.roundTrip.p99] },
];

// Round numbers from 0 to a bit more than `most`.
function ticks(most, wanted = 4) {
  const rough = most / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const all = [];
  for (let k = 0; k * step < most + step * 0.999; k += 1) all.push(k * step);
  return all;
}
const tickText = (value) => (value >= 10000 ? `${short(value / 1000)}k` : String(Number(value.toPrecision(4))));

const WIDE = 400, HIGH = 232, LEFT = 46, RIGHT = 14, TOP = 12, BOTTOM = 34;

// A small multiple: one operation and number of devices, over the transfer sizes, a line for each buffer count.
function sweepPlot(metric, operation, devices, most, far) {
  const sizes = data.sweep.maxTransferSizes;
  const x = (size) => LEFT + ((sizes.indexOf(size) + 0.5) * (WIDE - LEFT - RIGHT)) / sizes.length;
  const scale = ticks(most);
  const y = (value) => HIGH - BOTTOM - (value / scale.at(-1)) * (HIGH - BOTTOM - TOP);
  const caption = `${operation}, ${count(devices, "device")}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${metric.name} over MAXTRANSFERSIZE: ${caption}` });
  for (const value of scale) {
    picture.append(svg("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value) }));
    picture.append(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, tickText(value)));
  }
  for (const size of sizes) picture.append(svg("text", { x: x(size), y: HIGH - BOTTOM + 16, "text-anchor": "middle" }, sizeText(size)));
  picture.append(svg("text", { x: WIDE - RIGHT, y: HIGH - 4, "text-anchor": "end" }, "MAXTRANSFERSIZE"));
  const known = data.cells.filter((r) => r.cell.operation === operation && r.cell.devices === devices);
  if (metric.copy && !far) copyLine(picture, metric, sizes, x, y);
  data.sweep.bufferCounts.forEach((buffers, k) => {
    const line = known.filter((r) => r.cell.bufferCount === buffers).map((r) => ({ r, s: spread(metric.of(r)) })).filter((p) => p.s);
    const shift = (k - (data.sweep.bufferCounts.length - 1) / 2) * 7;
    const place = (p) => [x(p.r.cell.maxTransferSize) + shift, y(p.s.median)];
    const old = baseLine(metric, operation, devices, buffers);
    if (old.length > 1) picture.append(svg("polyline", { class: "base", stroke: colour(k), points: old.map(([size, value]) => `${x(size) + shift},${y(value)}`).join(" ") }));
    picture.append(svg("polyline", { class: "curve", stroke: colour(k), points: line.map((p) => place(p).join(",")).join(" ") }));
    for (const p of line) {
      const [at] = place(p);
      picture.append(svg("line", { class: "range", stroke: colour(k), x1: at, x2: at, y1: y(p.s.low), y2: y(p.s.high) }));
      for (const value of p.s.all) picture.append(svg("circle", { class: "run-dot", fill: colour(k), cx: at, cy: y(value), r: 1.8 }));
    }
    for (const p of line) {
      const [at, height] = place(p);
      const text = `${cellName(p.r.cell)}: ${short(p.s.median)} ${metric.unit} (${short(p.s.low)} to ${short(p.s.high)})`;
      const hit = svg("circle", { class: "hit", cx: at, cy: height, r: 11 }, svg("title", {}, text));
      hit.addEventListener("click", () => choose(p.r.cell));
      picture.append(hit, svg("circle", { class: "point", fill: colour(k), cx: at, cy: height, r: 4.2, "pointer-events": "none" }));
    }
  });
  return element("figure", {}, element("figcaption", {}, caption, " ", element("small", {}, metric.unit)), picture);
}

// The earlier run that this one is compared with, where it has this number.
function baseLine(metric, operation, devices, buffers) {
  const name = { Throughput: "throughput", "CPU time": "cpu", "Share of memcpy": "memory-share" }[metric.name];
  const factor = { throughput: 1 / GIB, cpu: 1, "memory-share": 100 }[name];
  const mine = (c) => c.metric === name && c.cell.operation === operation && c.cell.devices === devices && c.cell.bufferCount === buffers;
  return (data.comparison?.changes ?? []).filter(mine).map((c) => [c.cell.maxTransferSize, c.base.median * factor]);
}

function copyLine(picture, metric, sizes, x, y) {
  const values = sizes.map((size) => [size, spread(data.sweep.bufferCounts.map((bufferCount) => metric.copy({ maxTransferSize: size, bufferCount })))?.median]);
  const known = values.filter(([, value]) => value !== undefined);
  if (!known.length) return;
  const half = (x(sizes[1] ?? sizes[0]) - x(sizes[0])) / 2 || 60;
  const points = [[x(known[0][0]) - half, y(known[0][1])], ...known.map(([size, value]) => [x(size), y(value)]), [x(known.at(-1)[0]) + half, y(known.at(-1)[1])]];
  picture.append(svg("polyline", { class: "copy", points: points.map((p) => p.join(",")).join(" ") }));
}

const STAGES = [
  ["getCommand", "GetCommand", "the client waits for the server"],
  ["clientWork", "Client's work", "GetCommand → CompleteCommand"],
  ["completeToNext", "CompleteCommand → next", "until GetCommand is called again"],
  ["roundTrip", "Round trip", "the server's view, queues included"],
];

const powerText = (power) => (power < 0 ? `${10 ** (power + 3)} ns` : power < 3 ? `${10 ** power} µs` : power < 6 ? `${10 ** (power - 3)} ms` : `${10 ** (power - 6)} s`);

// Percentiles as HdrHistogram draws them: the tail has as much room as the middle.
function percentilePlot(stages) {
  const wide = 620, high = 300, left = 62, right = 16, top = 14, bottom = 36;
  const marks = [0, 0.5, 0.9, 0.99, 0.999];
  const place = (part) => Math.log10(1 / (1 - Math.min(part, 0.99995)));
  const x = (part) => left + (place(part) / place(1)) * (wide - left - right);
  const shown = STAGES.filter(([name]) => stages[name]);
  // Behind the last but one there is only the longest.
  const curve = (name) => stages[name].quantiles.filter(([part]) => part === 1 || part <= 1 - 1 / stages[name].count);
  const values = shown.flatMap(([name]) => curve(name).map(([, value]) => Math.max(value, 0.01)));
  const [from, to] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values) * 1.02))];
  const y = (value) => high - bottom - ((Math.log10(Math.max(value, 10 ** from)) - from) / Math.max(to - from, 1)) * (high - bottom - top);
  const picture = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": "Percentiles of the stages; the table has the numbers" });
  for (let power = from; power <= to; power += 1) {
    picture.append(svg("line", { class: "grid", x1: left, x2: wide - right, y1: y(10 ** power), y2: y(10 ** power) }));
    picture.append(svg("text", { x: left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, powerText(power)));
  }
  for (const part of marks) {
    picture.append(svg("line", { class: "grid", x1: x(part), x2: x(part), y1: top, y2: high - bottom }));
    picture.append(svg("text", { x: x(part), y: high - bottom + 16, "text-anchor": "middle" }, part ? `p${part * 100}` : "min"));
  }
  picture.append(svg("text", { x: wide - right, y: high - bottom + 16, "text-anchor": "end" }, "max"));
  picture.append(svg("text", { x: wide - right, y: high - 4, "text-anchor": "end" }, "so many do not exceed"));
  shown.forEach(([name, label], k) => {
    const points = curve(name).map(([part, value]) => `${x(part)},${y(value)}`);
    picture.append(svg("polyline", { class: "curve", stroke: colour(k), points: points.join(" ") }));
    for (const [part, value] of curve(name)) {
      const text = `${label}: ${part === 1 ? "max" : `p${Number((part * 100).toPrecision(6))}`} ${microsText(value)}`;
      picture.append(svg("circle", { fill: colour(k), cx: x(part), cy: y(value), r: 3 }, svg("title", {}, text)));
    }
  });
  return picture;
}
