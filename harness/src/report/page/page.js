"use strict";
// The page: headings, filters, keys, and the address that remembers them.

function sentence(run, k) {
  const results = data.cases.map((entry) => entry.results[k]).filter(Boolean);
  const counts = tally(results);
  const judged = results.filter((result) => result.verdict !== "SKIP" && result.verdict !== "N/A").length;
  const broken = (level) => data.cases.filter((entry) => entry.results[k] && (entry.results[k].level || entry.level) === level && BROKEN.has(entry.results[k].verdict)).length;
  const rules = (count) => `${count} ${count === 1 ? "rule" : "rules"}`;
  if (!judged) return ["void", "Nothing was judged"];
  if (broken("must")) return ["bad", `Breaks ${rules(broken("must"))} that a client must keep`];
  if (counts.XPASS) return ["bad", `${counts.XPASS} expected ${counts.XPASS === 1 ? "failure" : "failures"} passed`];
  if (counts.ERROR) return ["odd", `${counts.ERROR} of ${judged} could not be judged`];
  if (broken("should")) return ["good", `Keeps every must; breaks ${rules(broken("should"))} that it should keep`];
  if (broken("disputed")) return ["good", `Keeps every must and should; differs in ${broken("disputed")} disputed ${broken("disputed") === 1 ? "rule" : "rules"}`];
  return ["good", "Keeps every rule that was judged"];
}

function runCard(run, k) {
  const counts = tally(data.cases.map((entry) => entry.results[k]));
  const [tone, says] = sentence(run, k);
  const present = ORDER.filter((verdict) => counts[verdict]);
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  const list = element("ul", { class: "counts" });
  for (const verdict of present) {
    const part = element("i");
    part.style.cssText = `flex: ${counts[verdict]} 0 0; background: var(--${cssName(verdict)}-bar)`;
    bar.append(part);
    const swatch = element("i");
    swatch.style.background = `var(--${cssName(verdict)}-bar)`;
    list.append(element("li", {}, swatch, element("b", {}, String(counts[verdict])), ` ${verdict}`));
  }
  const facts = element("dl", {}, ...run.facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  return element("article", { class: "run" }, element("h2", {}, run.name), element("p", { class: `says ${tone}` }, says), bar, list,
    run.facts.length ? element("details", { class: "facts" }, element("summary", {}, "About this run"), facts) : null);
}

function chips(box, names, chosen, count, content) {
  for (const name of names) {
    const button = element("button", { type: "button", "aria-pressed": "false", "data-name": name }, content(name), element("small", {}, String(count(name))));
    button.addEventListener("click", () => {
      if (!chosen.delete(name)) chosen.add(name);
      filter();
    });
    box.append(button);
  }
}

function filter() {
  for (const [box, chosen] of [["verdicts", state.verdicts], ["levels", state.levels]]) {
    for (const button of byId(box).children) button.setAttribute("aria-pressed", String(chosen.has(button.dataset.name)));
  }
  choose();
  remember();
}

function search() {
  state.words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  filter();
}

function clear() {
  byId("search").value = "";
  byId("area").value = state.area = "";
  byId("differences").checked = state.differences = false;
  state.verdicts.clear();
  state.levels.clear();
  search();
}

// Search, filters and the open case live in the address, so that a link shows what its sender saw.
function remember() {
  const parts = new URLSearchParams();
  if (state.words.length) parts.set("q", byId("search").value.trim());
  if (state.verdicts.size) parts.set("verdict", [...state.verdicts].join(","));
  if (state.levels.size) parts.set("level", [...state.levels].join(","));
  if (state.area) parts.set("area", state.area);
  if (state.differences) parts.set("differences", "1");
  if (state.open) parts.set("case", state.open.id);
  if (state.open && state.column) parts.set("run", state.column);
  try {
    history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname + location.search);
  } catch {
    // Some viewers of mail and CI artefacts forbid it; then there is no link to share.
  }
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const list = (name) => (parts.get(name) || "").split(",").filter(Boolean);
  byId("search").value = parts.get("q") || "";
  list("verdict").forEach((verdict) => state.verdicts.add(verdict));
  list("level").forEach((level) => state.levels.add(level));
  byId("area").value = state.area = parts.get("area") || "";
  byId("differences").checked = state.differences = parts.has("differences");
  const column = Number(parts.get("run") || 0);
  state.column = data.runs[column] ? column : 0;
  const open = data.cases.find((entry) => entry.id === parts.get("case"));
  search();
  if (open) {
    state.active = items.findIndex((item) => item.entry === open);
    show(open);
  }
}

function theme() {
  const set = (choice) => {
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  };
  const buttons = [...document.querySelectorAll('[name="theme"]')];
  let kept = null;
  try { kept = localStorage.getItem("vdisim-theme"); } catch { /* no storage for files: Auto */ }
  const chosen = buttons.find((button) => button.value === kept);
  if (chosen) {
    chosen.checked = true;
    set(kept);
  }
  for (const button of buttons) {
    button.addEventListener("change", () => {
      set(button.value);
      try { localStorage.setItem("vdisim-theme", button.value); } catch { /* as above */ }
    });
  }
}

function keys() {
  byId("cases").addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && key(event)) event.preventDefault();
  });
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      byId("cases").focus();
      if (items.length) activate(items.findIndex((item) => item.entry));
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select")) {
      event.preventDefault();
      byId("search").focus();
      byId("search").select();
    } else if (event.key === "Escape") {
      if (state.open) hide();
      else if (event.target === byId("search")) clear();
    }
  });
}

function start() {
  const root = document.documentElement.style;
  root.setProperty("--runs", data.runs.length);
  if (data.runs.length > 4) root.setProperty("--cell", "88px");
  document.body.classList.toggle("several", data.runs.length > 1);
  byId("title").textContent = data.title;
  byId("subtitle").textContent = data.subtitle;
  byId("runs").append(...data.runs.map(runCard));
  byId("foot").append(element("p", {}, data.foot));
  const all = data.cases.flatMap((entry) => entry.results);
  const counts = tally(all);
  chips(byId("verdicts"), ORDER.filter((verdict) => counts[verdict]), state.verdicts, (verdict) => counts[verdict], badge);
  const levels = LEVELS.filter((level) => data.cases.some((entry) => entry.level === level));
  chips(byId("levels"), levels, state.levels, (level) => data.cases.filter((entry) => entry.level === level).length, (level) => level);
  const areas = [...new Set(data.cases.map((entry) => entry.area))];
  byId("area").append(element("option", { value: "" }, "Every area"), ...areas.map((area) => element("option", { value: area }, area)));
  byId("area").addEventListener("change", () => { state.area = byId("area").value; filter(); });
  byId("differences-box").hidden = data.runs.length < 2;
  byId("differences").addEventListener("change", () => { state.differences = byId("differences").checked; filter(); });
  byId("search").addEventListener("input", search);
  byId("clear").addEventListener("click", clear);
  byId("clear2").addEventListener("click", clear);
  byId("columns").append(element("span", { role: "columnheader" }, "Case"), element("span", { class: "level", role: "columnheader" }, "Level"),
    ...data.runs.map((run) => element("span", { role: "columnheader", title: run.name }, data.runs.length > 1 ? run.name : "Verdict")));
  theme();
  keys();
  recall();
  const measure = () => {
    root.setProperty("--tools", `${byId("tools").offsetHeight + 12}px`);
    draw(true);
  };
  addEventListener("scroll", () => draw(false), { passive: true });
  addEventListener("resize", measure);
  addEventListener("hashchange", () => { state.verdicts.clear(); state.levels.clear(); recall(); reveal(); });
  addEventListener("beforeprint", () => draw(false, true));
  measure();
  reveal();
}

// The row of the case that a link opens.
function reveal() {
  if (state.open) activate(state.active);
}

start();
