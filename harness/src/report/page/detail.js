"use strict";
// One case: the rule, and for the chosen column what was expected, what was seen, and when.

function detail(entry, column, choose, close) {
  const panel = document.createDocumentFragment();
  panel.append(element("div", { class: "head" },
    element("h2", { id: "detail-title" }, entry.id),
    element("button", { class: "close", type: "button", "aria-label": "Close the details", onclick: close }, "×")));
  panel.append(element("p", { class: "rule" }, entry.rule));
  panel.append(element("p", { class: "source" }, element("span", { class: `level ${entry.level}` }, entry.level), entry.source));
  if (data.runs.length > 1) panel.append(tabs(entry, column, choose));
  const result = entry.results[column];
  const body = element("div", data.runs.length > 1 ? { role: "tabpanel", id: "panel", "aria-labelledby": `tab-${column}` } : {});
  if (result) fill(body, entry, result);
  else body.append(element("p", { class: "verdict-line" }, "Not part of this run."));
  panel.append(body);
  return panel;
}

function tabs(entry, column, choose) {
  const list = element("div", { class: "tabs", role: "tablist", "aria-label": "Clients" });
  data.runs.forEach((run, k) => {
    const result = entry.results[k];
    const tab = element("button", { type: "button", role: "tab", id: `tab-${k}`, "aria-selected": String(k === column), "aria-controls": "panel",
      tabindex: k === column ? "0" : "-1", onclick: () => choose(k) }, run.name, result ? badge(result.verdict) : "–");
    list.append(tab);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    choose((column + step + data.runs.length) % data.runs.length);
    byId("detail").querySelector('[role="tab"][aria-selected="true"]').focus();
  });
  return list;
}

function fill(body, entry, result) {
  body.append(element("p", { class: "verdict-line" }, badge(result.verdict), element("span", {}, result.reason || MEANING[result.verdict]),
    result.level ? element("span", {}, `judged at level ${result.level}`) : null, element("span", {}, duration(result.micros))));
  const pair = element("dl", { class: "pair" });
  if (result.expected) pair.append(element("dt", {}, "Expected"), element("dd", {}, result.expected));
  if (result.seen) {
    const seen = element("dd", { class: "seen" }, result.seen);
    if (BROKEN.has(result.verdict)) seen.style.setProperty("--bad", "var(--FAIL)");
    pair.append(element("dt", {}, "Seen"), seen);
  }
  if (pair.children.length) body.append(pair);
  if (result.hint) body.append(element("p", { class: "hint" }, element("b", {}, "What to do"), result.hint));
  if (result.reproduce) body.append(element("h3", {}, "Reproduce"), command(result.reproduce));
  if (result.lanes) {
    const count = result.lanes.reduce((sum, lane) => sum + lane.events.length, 0);
    body.append(element("h3", {}, "Timeline"), timeline(result.lanes, `Timeline of ${entry.id}: ${count} events; the table below has them in words.`, Math.max(480, byId("detail").clientWidth - 52)),
      legend(result.lanes), eventTable(result.lanes, count));
  }
  if (result.evidence && result.evidence.length) body.append(element("h3", {}, "Evidence"), element("pre", { class: "evidence", tabindex: "0" }, result.evidence.join("\n")));
}

function command(line) {
  const button = element("button", { type: "button" }, "Copy");
  const code = element("code", { tabindex: "0" }, line);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line);
      button.textContent = "Copied";
    } catch {
      // A page opened from a file may not reach the clipboard; then the line is at least selected.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  return element("div", { class: "command" }, code, button);
}

function eventTable(lanes, count) {
  const rows = element("tbody");
  const made = element("details", { class: "events" }, element("summary", {}, count === 1 ? "1 event in words" : `${count} events in words`),
    element("div", { class: "scroll", tabindex: "0" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["time", "took", "lane", "event"].map((name) => element("th", { scope: "col" }, name)))), rows)));
  made.addEventListener("toggle", () => {
    if (rows.children.length) return;
    const all = lanes.flatMap((lane) => lane.events.map((event) => ({ lane: lane.name, event })));
    all.sort((a, b) => a.event.t - b.event.t);
    for (const { lane, event } of all) {
      const took = event.open ? "open" : event.span === undefined ? "" : duration(event.span);
      rows.append(element("tr", event.kind === "bad" || event.open ? { class: "bad" } : {},
        ...[duration(event.t), took, lane, event.text].map((text) => element("td", {}, text))));
    }
  });
  return made;
}
