"use strict";
// A case's events as a picture: a lane for the set and one for each device, time from left to right.
// In a lane the commands are above and the client's calls below them.

const LABEL = 112;
const LANE = 36;
const HEAD = 22;

// Maps microseconds to 0..1. A stretch in which nothing begins or ends and that would crush all else
// takes a fixed width and is drawn as a break.
function timeScale(events) {
  const points = [...new Set(events.flatMap((event) => [event.t, event.t + (event.span || 0)]))].sort((a, b) => a - b);
  const first = points[0] ?? 0;
  const total = Math.max(1, (points[points.length - 1] ?? 1) - first);
  const stretches = points.slice(1).map((point, k) => ({ from: points[k], length: point - points[k], idle: point - points[k] > total * 0.3 }));
  const breaks = stretches.filter((stretch) => stretch.idle);
  const busy = stretches.reduce((sum, stretch) => sum + (stretch.idle ? 0 : stretch.length), 0);
  if (!breaks.length || busy === 0) return { at: (t) => (t - first) / total, breaks: [], first, total };
  const share = breaks.length * 0.14;
  let x = 0;
  for (const stretch of stretches) {
    stretch.x = x;
    stretch.width = stretch.idle ? 0.14 : (stretch.length / busy) * (1 - share);
    x += stretch.width;
  }
  const at = (t) => {
    const stretch = stretches.findLast((candidate) => candidate.from <= t) || stretches[0];
    return Math.min(1, stretch.x + ((t - stretch.from) / stretch.length) * stretch.width);
  };
  return { at, breaks, first, total };
}

function niceStep(span) {
  const raw = Math.max(1, span / 5);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw);
}

function timeline(lanes, title, width) {
  const events = lanes.flatMap((lane) => lane.events);
  const scale = timeScale(events);
  const x = (t) => LABEL + scale.at(t) * (width - LABEL - 20);
  const bottom = HEAD + lanes.length * LANE;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${bottom + 4}`, role: "img", "aria-label": title });
  picture.append(svg("defs", {}, svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 2, height: 6, class: "bad", opacity: ".45" }))));
  drawGrid(picture, scale, x, bottom, width);
  lanes.forEach((lane, k) => {
    const y = HEAD + k * LANE;
    picture.append(svg("line", { class: "lane", x1: 0, x2: width, y1: y + LANE, y2: y + LANE }));
    const name = lane.name.length > 15 ? `${lane.name.slice(0, 14)}…` : lane.name;
    picture.append(svg("text", { class: "lane-name", x: 8, y: y + LANE / 2 + 4 }, name, svg("title", {}, lane.name)));
    // Marks last, so that no bar hides them.
    const spans = lane.events.filter((event) => event.span !== undefined || event.open);
    const marks = lane.events.filter((event) => event.span === undefined && !event.open);
    for (const event of spans) drawSpan(picture, event, x, y, width);
    for (const event of marks) drawMark(picture, event, x(event.t), y);
  });
  for (const gap of scale.breaks) drawBreak(picture, gap, x, bottom);
  return element("div", { class: "picture", tabindex: "0", role: "group", "aria-label": "Timeline" }, picture);
}

function drawGrid(picture, scale, x, bottom, width) {
  if (scale.breaks.length) {
    if (x(scale.breaks[0].from) > LABEL + 40) picture.append(svg("text", { x: LABEL, y: 14 }, "0"));
    const last = scale.breaks[scale.breaks.length - 1];
    if (x(last.from + last.length) < width - 120) picture.append(svg("text", { x: width - 10, y: 14, "text-anchor": "end" }, duration(scale.total)));
    return;
  }
  const step = niceStep(scale.total);
  for (let t = 0; t <= scale.total; t += step) {
    const at = x(scale.first + t);
    picture.append(svg("line", { class: "grid", x1: at, x2: at, y1: HEAD - 3, y2: bottom }));
    if (at < width - 40) picture.append(svg("text", { x: at, y: 14, "text-anchor": t ? "middle" : "start" }, t ? duration(t) : "0"));
  }
}

function drawBreak(picture, gap, x, bottom) {
  const [left, right] = [x(gap.from) + 4, x(gap.from + gap.length) - 4];
  picture.append(svg("rect", { class: "break", x: left, y: HEAD, width: right - left, height: bottom - HEAD }),
    svg("path", { class: "break-line", d: `M${left} ${HEAD}V${bottom}M${right} ${HEAD}V${bottom}` }),
    svg("text", { class: "break-name", x: (left + right) / 2, y: 14, "text-anchor": "middle" }, `… ${duration(gap.length)} …`));
}

function tip(event) {
  const took = event.open ? ", never completed" : event.span === undefined ? "" : `, took ${duration(event.span)}`;
  return svg("title", {}, `${duration(event.t)}: ${event.text}${took}`);
}

function drawSpan(picture, event, x, y, full) {
  const left = x(event.t);
  const width = Math.max(2, (event.open ? full - 12 : x(event.t + event.span)) - left - 0.5);
  const call = event.kind === "call";
  const [top, height] = call ? [y + LANE - 10, 6] : [y + 5, LANE - 17];
  const group = svg("g", {}, svg("rect", { class: event.open ? "open" : event.kind, x: left, y: top, width, height, rx: call ? 1 : 2.5 }), tip(event));
  if (!call && width > event.name.length * 6.2 + 8) {
    group.append(svg("text", { class: event.open ? "open-name" : "bar-name", x: left + 4, y: top + height / 2 + 3.5 }, event.name));
  }
  picture.append(group);
}

function drawMark(picture, event, x, y) {
  const middle = y + LANE / 2 - 4;
  const shapes = {
    bad: () => svg("path", { class: "mark bad", d: `M${x - 4} ${middle - 4}l8 8m0 -8l-8 8` }),
    fault: () => svg("path", { class: "mark fault", d: `M${x} ${middle - 6}l6 6l-6 6l-6 -6z` }),
  };
  const mark = (shapes[event.kind] || (() => svg("line", { class: "mark", x1: x, x2: x, y1: y + 6, y2: y + LANE - 12 })))();
  picture.append(svg("g", {}, svg("rect", { x: x - 6, y, width: 12, height: LANE, fill: "transparent" }), mark, tip(event)));
}

function legend(lanes) {
  const present = new Set(lanes.flatMap((lane) => lane.events).map((event) => (event.open ? "open" : event.kind)));
  const names = { data: "Read, Write", sync: "Flush, Complete", other: "other commands", call: "the client's calls", state: "states", fault: "fault", bad: "what went wrong", open: "never completed" };
  const made = element("div", { class: "legend", "aria-hidden": "true" });
  for (const [kind, name] of Object.entries(names)) {
    if (present.has(kind)) made.append(element("span", {}, element("i", { class: kind }), name));
  }
  return made;
}
