"use strict";
// The matrix: which rows the search and the filters leave, and the few of them that are in sight.

const state = { words: [], verdicts: new Set(), levels: new Set(), area: "", differences: false, folded: new Set(), active: -1, open: null, column: 0 };
let items = [];
let drawn = new Map();

function text(entry) {
  entry.text ??= [entry.id, entry.rule, entry.source, ...entry.results.flatMap((result) => (result ? [result.reason, result.seen, result.expected, result.hint] : []))]
    .join("\n").toLowerCase();
  return entry.text;
}

function matches(entry) {
  if (state.area && entry.area !== state.area) return false;
  if (state.levels.size && !state.levels.has(entry.level)) return false;
  if (state.verdicts.size && !entry.results.some((result) => result && state.verdicts.has(result.verdict))) return false;
  if (state.differences && new Set(entry.results.map((result) => result && result.verdict)).size < 2) return false;
  return state.words.every((word) => text(entry).includes(word));
}

// Chooses the rows anew; the case that was active stays so if it is still there.
function choose() {
  const active = items[state.active];
  const groups = new Map();
  let shown = 0;
  for (const entry of data.cases) {
    if (!matches(entry)) continue;
    shown++;
    if (!groups.has(entry.area)) groups.set(entry.area, []);
    groups.get(entry.area).push(entry);
  }
  items = [];
  for (const [area, entries] of groups) {
    items.push({ area, entries });
    if (!state.folded.has(area)) for (const entry of entries) items.push({ entry, area });
  }
  state.active = active ? items.findIndex((item) => (active.entry ? item.entry === active.entry : !item.entry && item.area === active.area)) : -1;
  const filtered = state.words.length || state.verdicts.size || state.levels.size || state.area || state.differences;
  byId("count").textContent = filtered ? `${shown} of ${data.cases.length} cases` : `${shown} cases`;
  byId("clear").hidden = !filtered;
  byId("none").hidden = shown > 0;
  byId("cases").hidden = shown === 0;
  byId("cases").setAttribute("aria-rowcount", items.length + 1);
  draw(true);
}

function rowHeight() {
  return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
}

// Brings the rows in sight, and a screenful around them, into the document.
function draw(afresh, all) {
  const rows = byId("rows");
  const height = rowHeight();
  rows.style.height = `${items.length * height}px`;
  if (afresh) {
    rows.replaceChildren();
    drawn = new Map();
  }
  const above = -rows.getBoundingClientRect().top;
  const from = all ? 0 : Math.max(0, Math.floor((above - innerHeight) / height));
  const to = all ? items.length : Math.min(items.length, Math.ceil((above + 2 * innerHeight) / height));
  for (const [k, row] of drawn) {
    if (k >= from && k < to) continue;
    row.remove();
    drawn.delete(k);
  }
  for (let k = from; k < to; k++) {
    if (drawn.has(k)) continue;
    const row = items[k].entry ? caseRow(items[k].entry, k) : groupRow(items[k], k);
    row.style.top = `${k * height}px`;
    const after = [...drawn.keys()].filter((other) => other > k).sort((a, b) => a - b)[0];
    rows.insertBefore(row, after === undefined ? null : drawn.get(after));
    drawn.set(k, row);
  }
  const active = drawn.get(state.active);
  byId("cases").setAttribute("aria-activedescendant", active ? active.id : "");
}

function caseRow(entry, k) {
  const cells = entry.results.map((result) => element("span", { role: "gridcell" }, result ? badge(result.verdict) : element("span", { class: "v NA", title: "not part of this run" }, "")));
  const row = element("div", { class: `case${k === state.active ? " active" : ""}`, role: "row", id: `row-${k}`, "aria-level": 2, "aria-rowindex": k + 2,
    "aria-selected": String(state.open === entry), "data-id": entry.id },
    element("span", { class: "what", role: "gridcell" }, name(entry), element("span", {}, ...marked(entry.rule, state.words))),
    element("span", { class: `level ${entry.level}`, role: "gridcell" }, entry.level), ...cells);
  row.addEventListener("click", (event) => {
    const cell = [...row.children].indexOf(event.target.closest('[role="gridcell"]')) - 2;
    if (cell >= 0) state.column = cell;
    activate(k);
    show(entry);
  });
  return row;
}

// The id, its area apart: where room is scarce, the group's heading has to do for it.
function name(entry) {
  const cut = entry.id.length > entry.area.length ? entry.area.length + 1 : 0;
  const [area, rest] = [entry.id.slice(0, cut), entry.id.slice(cut)];
  return element("code", { title: entry.id }, element("span", { class: "area" }, ...marked(area, state.words)), ...marked(rest, state.words));
}

function groupRow(item, k) {
  const cells = data.runs.map((_, run) => {
    const counts = tally(item.entries.map((entry) => entry.results[run]));
    const wrong = ORDER.filter((verdict) => WRONG.has(verdict)).reduce((sum, verdict) => sum + (counts[verdict] || 0), 0);
    const judged = Object.entries(counts).reduce((sum, [verdict, count]) => sum + (verdict === "SKIP" || verdict === "N/A" ? 0 : count), 0);
    return element("span", { class: "tally", role: "gridcell" }, ...(wrong ? [element("b", {}, `${wrong} wrong`), ` of ${judged}`] : [judged ? `${judged} judged` : "none judged"]));
  });
  const row = element("div", { class: `group${k === state.active ? " active" : ""}`, role: "row", id: `row-${k}`, "aria-level": 1, "aria-rowindex": k + 2,
    "aria-expanded": String(!state.folded.has(item.area)) },
    element("span", { class: "heading", role: "gridcell", "aria-colspan": 2 }, element("span", { class: "fold", "aria-hidden": "true" }, "▾"), item.area, element("small", {}, String(item.entries.length))),
    ...cells);
  row.addEventListener("click", () => {
    activate(k);
    fold(item.area, !state.folded.has(item.area));
  });
  return row;
}

function fold(area, folded) {
  if (folded) state.folded.add(area);
  else state.folded.delete(area);
  choose();
}

function activate(k) {
  drawn.get(state.active)?.classList.remove("active");
  state.active = Math.max(0, Math.min(items.length - 1, k));
  const height = rowHeight();
  const top = byId("rows").getBoundingClientRect().top + state.active * height;
  const upper = byId("columns").offsetHeight + (getComputedStyle(byId("tools")).position === "sticky" ? byId("tools").offsetHeight : 0) + 8;
  if (top < upper) scrollBy(0, top - upper);
  else if (top + height > innerHeight - 8) scrollBy(0, top + height - innerHeight + 8);
  draw(false);
  drawn.get(state.active)?.classList.add("active");
  byId("cases").setAttribute("aria-activedescendant", `row-${state.active}`);
}

function show(entry) {
  const panel = byId("detail");
  state.open = entry;
  for (const [k, row] of drawn) if (items[k].entry) row.setAttribute("aria-selected", String(items[k].entry === entry));
  // Before the content, which is drawn as wide as the panel is.
  document.body.classList.toggle("split", entry !== null);
  panel.replaceChildren(...(entry ? [detail(entry, state.column, (column) => { state.column = column; show(entry); }, hide)] : []));
  panel.scrollTop = 0;
  remember();
}

function hide() {
  show(null);
  byId("cases").focus({ preventScroll: true });
}

function wrongRow(entry) {
  return entry && entry.results.some((result) => result && WRONG.has(result.verdict));
}

// The keys of the matrix. Returns whether the key meant something.
function key(event) {
  const item = items[state.active];
  const jump = (step) => {
    for (let k = state.active + step; k >= 0 && k < items.length; k += step) if (wrongRow(items[k].entry)) return go(k);
    return true;
  };
  const go = (k) => {
    activate(k);
    const entry = items[state.active]?.entry;
    if (state.open && entry && innerWidth >= 1080) show(entry);
    return true;
  };
  const column = (step) => {
    if (!item) return false;
    if (!item.entry) return fold(item.area, step < 0), true;
    if (data.runs.length < 2) return false;
    state.column = (state.column + step + data.runs.length) % data.runs.length;
    if (state.open) show(state.open);
    return true;
  };
  switch (event.key) {
    case "ArrowDown": case "j": return go(state.active + 1);
    case "ArrowUp": case "k": return go(state.active - 1);
    case "PageDown": return go(state.active + 15);
    case "PageUp": return go(state.active - 15);
    case "Home": return go(0);
    case "End": return go(items.length - 1);
    case "ArrowLeft": return column(-1);
    case "ArrowRight": return column(1);
    case "n": return jump(1);
    case "p": return jump(-1);
    case "Enter": case " ":
      if (!item) return false;
      if (!item.entry) return fold(item.area, !state.folded.has(item.area)), true;
      show(item.entry);
      if (innerWidth < 1080) byId("detail").focus();
      return true;
    default: return false;
  }
}
