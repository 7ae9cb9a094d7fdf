let metric = METRICS[0];
let chosen = null;
let order = { column: -1, down: true };

function tile(title, value, unit, about, kind = "") {
  return element("div", { class: `tile ${kind}` }, element("h2", {}, title), element("b", {}, value, " ", element("small", {}, unit)), element("p", {}, about));
}

function head() {
  const client = data.client ?? "vdisim's own client";
  document.title = `vdisim bench: ${client}`;
  byId("title").textContent = data.client ? `What the interface costs ${client}` : "What the interface costs: vdisim's own client";
  byId("subtitle").textContent = `${data.cells.length} cells, ${data.repeats} runs of ${sizeText(data.bytesPerRun)} each, interleaved; ${data.machine.cpus} × ${data.machine.processor}.${data.interrupted ? " The run was interrupted: numbers are missing." : ""}`;
  byId("disclaimer").textContent = data.disclaimer;
  const tiles = byId("tiles");
  for (const operation of data.sweep.operations) {
    const known = data.cells.filter((r) => r.cell.operation === operation && r.bytesPerSecond);
    if (!known.length) continue;
    const best = known.reduce((a, b) => (b.bytesPerSecond.median > a.bytesPerSecond.median ? b : a));
    const share = best.shareOfMemoryCopy ? `, ${percentText(best.shareOfMemoryCopy.median, 0)} of memcpy` : "";
    tiles.append(tile(`Fastest ${operation}`, short(best.bytesPerSecond.median / GIB), "GiB/s", `±${percentText(noise(best.bytesPerSecond))}${share}; ${cellName(best.cell)}`));
  }
  const thrifty = data.cells.filter((r) => r.cpuSecondsPerGib).reduce((a, b) => (!a || b.cpuSecondsPerGib.median < a.cpuSecondsPerGib.median ? b : a), null);
  if (thrifty) tiles.append(tile("Least CPU time", short(thrifty.cpuSecondsPerGib.median), "s/GiB", `client and server; ${cellName(thrifty.cell)}`));
  const copy = spread(data.baselines.map((b) => b.bytesPerSecond.median / GIB));
  if (copy) tiles.append(tile("Memory copy here", short(copy.median), "GiB/s", `one thread, ${short(copy.low)} to ${short(copy.high)} by size and number of buffers`));
  if (data.measuring) {
    const { cost, low, high, cpuCost, pairs, cell } = data.measuring;
    tiles.append(tile("Cost of measuring", `${cost > 0 ? "+" : ""}${(cost * 100).toFixed(1)}`, "% time", `${(low * 100).toFixed(1)} to ${(high * 100).toFixed(1)} % in ${pairs} pairs, ${cpuCost > 0 ? "+" : ""}${(cpuCost * 100).toFixed(1)} % CPU time; ${cellName(cell)}`));
  }
  if (data.otherLoad >= 0.05) tiles.append(tile("Other work", percentText(data.otherLoad, 0), "of the CPUs", "used by others meanwhile: the numbers are noisy", "bad"));
  const failed = data.cells.filter((r) => r.failure).length;
  if (failed) tiles.append(tile("Failed", String(failed), `of ${data.cells.length} cells`, "see below the table", "bad"));
  const facts = [
    ["Client", data.client ?? "vdisim's own: reads every byte, stores none"], ["Drop-in", data.dropIn],
    ["Started", new Date(data.started / 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC"], ["Took", `${data.seconds.toFixed(0)} s`],
    ["Processor", `${data.machine.cpus} × ${data.machine.processor}`], ["Memory", `${short(data.machine.memory / GIB)} GiB`],
    ["System", `${data.machine.system}, kernel ${data.machine.kernel}`], ["vdisim", `${data.vdisim}, ${data.build} build`],
    ["Command", data.command.join(" ")],
    ["Method", "Each run is a client process of its own. The cells of a round follow one another, there and back in turns, so that a drift of the machine meets all of them. The stream is made-up bytes from 64 MiB of memory. GetCommand and CompleteCommand are timed inside the drop-in, CPU time and switches are those between the opening of the devices and the last transfer."],
  ];
  for (const [name, value] of facts) byId("facts").append(element("dt", {}, name), element("dd", {}, value));
  byId("foot").append(element("p", {}, `Made by vdisim ${data.vdisim}. ${data.disclaimer}`));
}

function comparison() {
  const c = data.comparison;
  if (!c) return;
  byId("comparison").hidden = false;
  const of = (verdict) => c.changes.filter((change) => change.verdict === verdict).length;
  byId("comparison-title").textContent = `Against ${c.base}: ${of("regressed")} regressed by more than ${percentText(c.maxRegression, 0)}, ${of("improved")} improved, ${of("same")} within it`;
  for (const warning of c.warnings) byId("warnings").append(element("li", {}, `The base was measured with ${warning}.`));
  const number = (change, s) => {
    const factor = { throughput: 1 / GIB, cpu: 1, "memory-share": 100 }[change.metric];
    return `${short(s.median * factor)} ±${percentText(noise(s))}`;
  };
  const unit = { throughput: "GiB/s", cpu: "CPU s/GiB", "memory-share": "% of memcpy" };
  const rank = { regressed: 0, improved: 1, same: 2 };
  const changes = [...c.changes].sort((a, b) => rank[a.verdict] - rank[b.verdict] || a.better - b.better);
  const body = element("tbody");
  for (const change of changes) {
    body.append(element("tr", {}, element("td", {}, cellName(change.cell)), element("td", { class: "left" }, unit[change.metric]), element("td", {}, number(change, change.base)), element("td", {}, number(change, change.now)), element("td", { class: `verdict ${change.verdict}` }, `${change.better >= 0 ? "+" : "−"}${percentText(Math.abs(change.better))}`), element("td", { class: `left verdict ${change.verdict}` }, change.verdict === "same" ? "within the limit" : change.verdict), element("td", { class: "left dim" }, change.withinNoise && change.verdict !== "same" ? "runs overlap: may be noise" : "")));
  }
  const titles = ["Cell", "Number", "Before", "Now", "Better by", "Verdict", ""].map((title, k) => element("th", { class: [0, 1, 5].includes(k) ? "left" : null }, title));
  byId("changes").append(element("table", {}, element("thead", {}, element("tr", {}, ...titles)), body));
}

function sweep() {
  byId("metrics").replaceChildren(...METRICS.map((m) => element("button", { type: "button", "aria-pressed": String(m === metric), onclick: () => { metric = m; sweep(); } }, m.name)));
  byId("metric-about").textContent = metric.about;
  const values = data.cells.flatMap((r) => metric.of(r)).filter(Number.isFinite);
  const copies = metric.copy ? data.cells.map((r) => metric.copy(r.cell)).filter(Number.isFinite) : [];
  // A line far above everything else would press the curves to the ground.
  const peak = Math.max(...values, 1e-9);
  const far = copies.length > 0 && Math.min(...copies) > 3 * peak;
  const most = far ? peak : Math.max(peak, ...copies);
  const plots = data.sweep.operations.flatMap((operation) => data.sweep.devices.map((devices) => sweepPlot(metric, operation, devices, most, far)));
  byId("plots").style.setProperty("--columns", data.sweep.devices.length > 4 ? 4 : data.sweep.devices.length);
  byId("plots").replaceChildren(...plots);
  const keys = data.sweep.bufferCounts.map((buffers, k) => element("span", {}, element("i", { class: "line", style: `background: ${colour(k)}` }), `BUFFERCOUNT ${buffers}`));
  if (metric.copy) keys.push(element("span", {}, element("i", { class: "dashes" }), far ? `memory copy: ${short(Math.min(...copies))} to ${short(Math.max(...copies))} ${metric.unit}, above these plots` : "memory copy"));
  if (["Throughput", "CPU time", "Share of memcpy"].includes(metric.name) && data.comparison?.changes.length) keys.push(element("span", {}, element("i", { class: "dots" }), "the base, where it was compared"));
  byId("legend").replaceChildren(...keys);
}

function choose(cell, jump = true) {
  chosen = cell;
  byId("cell").value = cellName(cell);
  stages();
  for (const row of byId("rows").children) row.setAttribute("aria-selected", String(row.dataset.cell === cellName(cell)));
  if (jump) byId("cell-title").scrollIntoView({ block: "nearest", behavior: "instant" });
}

function stages() {
  const result = data.cells.find((r) => chosen && sameCell(r.cell, chosen));
  const place = byId("stages");
  if (!result?.stages) {
    place.replaceChildren(element("p", { class: "about" }, result?.failure ?? "Nothing was measured."));
    return;
  }
  const body = element("tbody");
  STAGES.filter(([name]) => result.stages[name]).forEach(([name, label, about], k) => {
    const s = result.stages[name];
    body.append(element("tr", {}, element("td", {}, element("i", { class: "key", style: `background: ${colour(k)}` }), label, element("br"), element("small", { class: "dim" }, about)), ...[s.p50, s.p95, s.p99, s.max, s.mean].map((value) => element("td", {}, microsText(value)))));
  });
  const titles = ["Stage", "p50", "p95", "p99", "max", "mean"].map((title) => element("th", {}, title));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...titles)), body);
  const runs = element("tbody");
  result.runs.forEach((run, k) => {
    const numbers = [short(gib(run) / run.seconds), short(run.clientCpuSeconds / gib(run)), short(run.serverCpuSeconds / gib(run)), switchesText(run.clientContextSwitches, gib(run)), switchesText(run.serverContextSwitches, gib(run)), `${short(run.inFlight)} (${run.inFlightMax})`, short(run.withClient), run.flushSeconds ? microsText(run.flushSeconds * 1e6) : "–"];
    runs.append(element("tr", {}, element("td", {}, String(k + 1)), ...numbers.map((number) => element("td", {}, number))));
  });
  const runTitles = ["Run", "GiB/s", "client CPU s/GiB", "server CPU s/GiB", "client switches/GiB", "server switches/GiB", "in flight (max)", "with the client", "Flush"].map((title) => element("th", {}, title));
  const several = element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, ...runTitles)), runs));
  const commands = result.runs.reduce((all, run) => all + run.commands, 0);
  place.replaceChildren(percentilePlot(result.stages), element("div", { class: "scroll" }, table, element("p", { class: "about" }, `${commands.toLocaleString("en").replaceAll(",", "\u202f")} commands in ${count(result.runs.length, "run")}.`)), several);
  several.style.gridColumn = "1 / -1";
}

// Heading, class, number to sort by, what stands there.
function columns() {
  const most = Math.max(...data.cells.map((r) => r.bytesPerSecond?.median ?? 0), 1);
  const cpuMost = Math.max(...data.cells.map((r) => r.cpuSecondsPerGib?.median ?? 0), 1e-9);
  const mean = (r, of) => r.runs.reduce((all, run) => all + of(run), 0) / r.runs.length;
  const meter = (...parts) => element("span", { class: "meter", "aria-hidden": "true" }, ...parts.map(([part, paint]) => element("i", { style: `width: ${part * 100}%; background: ${paint}` })));
  const stage = (title, name) => ({ title, ruled: name === "getCommand", by: (r) => r.stages[name]?.p50 ?? -1, show: (r) => (r.stages[name] ? `${microsText(r.stages[name].p50)} / ${microsText(r.stages[name].p99)}` : "–") });
  const client = (r) => mean(r, (run) => run.clientCpuSeconds / gib(run));
  const server = (r) => mean(r, (run) => run.serverCpuSeconds / gib(run));
  const switches = (r) => (counted(r) ? mean(r, (run) => (run.clientContextSwitches + run.serverContextSwitches) / gib(run)) : -1);
  return [
    { title: "Operation", always: true, by: (r) => data.sweep.operations.indexOf(r.cell.operation), show: (r) => r.cell.operation },
    { title: "Devices", always: true, by: (r) => r.cell.devices, show: (r) => String(r.cell.devices) },
    { title: "Buffers", always: true, by: (r) => r.cell.maxTransferSize * 1e6 + r.cell.bufferCount, show: (r) => `${r.cell.bufferCount} × ${sizeText(r.cell.maxTransferSize)}` },
    { title: "GiB/s", ruled: true, by: (r) => r.bytesPerSecond.median, show: (r) => [short(r.bytesPerSecond.median / GIB), meter([r.bytesPerSecond.median / most, "var(--s0)"])] },
    { title: "±", by: (r) => noise(r.bytesPerSecond), show: (r) => percentText(noise(r.bytesPerSecond)) },
    { title: "of memcpy", by: (r) => r.shareOfMemoryCopy?.median ?? 0, show: (r) => (r.shareOfMemoryCopy ? percentText(r.shareOfMemoryCopy.median, 0) : "–") },
    { title: "CPU s/GiB, client + server", ruled: true, by: (r) => r.cpuSecondsPerGib.median, show: (r) => [`${short(client(r))} + ${short(server(r))}`, meter([client(r) / cpuMost, "var(--s1)"], [server(r) / cpuMost, "var(--s2)"])] },
    { title: "switches/GiB", by: switches, show: (r) => (counted(r) ? short(switches(r)) : "–") },
    { title: "in flight", by: (r) => mean(r, (run) => run.inFlight), show: (r) => mean(r, (run) => run.inFlight).toFixed(1) },
    stage("GetCommand p50 / p99", "getCommand"), stage("client's work", "clientWork"), stage("Complete → next", "completeToNext"), stage("round trip", "roundTrip"),
  ];
}

function table() {
  const all = columns();
  const titles = all.map((column, k) => element("th", { class: column.ruled ? "ruled" : null, "aria-sort": order.column === k ? (order.down ? "descending" : "ascending") : null }, element("button", { type: "button", onclick: () => { order = { column: k, down: order.column === k ? !order.down : true }; table(); } }, column.title)));
  byId("columns").replaceChildren(element("tr", {}, ...titles));
  const cells = [...data.cells];
  const by = (r) => (r.bytesPerSecond && r.stages ? all[order.column].by(r) : -Infinity);
  if (order.column >= 0) cells.sort((a, b) => (by(b) - by(a)) * (order.down ? 1 : -1) || 0);
  byId("rows").replaceChildren(...cells.map((r) => {
    const measured = r.bytesPerSecond && r.stages;
    const shown = all.filter((column) => measured || column.always).map((column) => element("td", { class: column.ruled ? "ruled" : null }, ...[column.show(r)].flat()));
    if (!measured) shown.push(element("td", { class: "failed", colspan: all.length - 3 }, r.failure ? "failed" : "not measured"));
    const row = element("tr", { "data-cell": cellName(r.cell), tabindex: 0, "aria-selected": String(Boolean(chosen && sameCell(chosen, r.cell))), onclick: () => choose(r.cell) }, ...shown);
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(r.cell); });
    return row;
  }));
  byId("failures").replaceChildren(...data.cells.filter((r) => r.failure).map((r) => element("p", { class: "failure" }, element("b", {}, cellName(r.cell)), ` ${r.failure}`)));
}

function theme() {
  const buttons = [...document.querySelectorAll('[name="theme"]')];
  const apply = (choice) => {
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  };
  let kept = null;
  try { kept = localStorage.getItem("vdisim-theme"); } catch { /* no storage for files: Auto */ }
  for (const button of buttons) {
    button.checked = button.value === (kept ?? "auto");
    button.addEventListener("change", () => {
      apply(button.value);
      try { localStorage.setItem("vdisim-theme", button.value); } catch { /* as above */ }
    });
  }
  apply(kept ?? "auto");
}

theme();
head();
comparison();
sweep();
byId("cell").append(...data.cells.map((r) => element("option", {}, cellName(r.cell))));
byId("cell").addEventListener("change", () => choose(data.cells.find((r) => cellName(r.cell) === byId("cell").value).cell, false));
table();
const first = data.cells.filter((r) => r.bytesPerSecond).reduce((a, b) => (!a || b.bytesPerSecond.median > a.bytesPerSecond.median ? b : a), null) ?? data.cells[0];
if (first) choose(first.cell, false);
