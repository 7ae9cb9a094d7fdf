// The parts that every view uses. Text from a client's run only ever goes in as text.

const data = JSON.parse(document.getElementById("data").textContent);
const ORDER = ["FAIL", "CRASH", "HANG", "XPASS", "ERROR", "XFAIL", "PASS", "SKIP", "N/A"];
const WRONG = new Set(["FAIL", "CRASH", "HANG", "XPASS", "ERROR"]);
const BROKEN = new Set(["FAIL", "CRASH", "HANG"]);
const LEVELS = ["must", "should", "info", "disputed"];
const MEANING = {
  PASS: "The rule was kept.",
  FAIL: "The rule was broken.",
  CRASH: "The client was ended by a signal.",
  HANG: "No call and no progress within the watchdog's time.",
  XPASS: "Expected to fail, and passed: take it off the list of expected failures.",
  XFAIL: "Failed, as the list of expected failures says.",
  ERROR: "The harness could not judge: a fault of vdisim or of the machine.",
  SKIP: "Not run.",
  "N/A": "Needs something that the client does not declare.",
};

const cssName = (verdict) => verdict.replace("/", "");

function badge(verdict) {
  const name = cssName(verdict);
  const picture = svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
  const made = element("span", { class: `v ${name}`, title: MEANING[verdict] }, picture, element("span", {}, verdict));
  made.style.color = `var(--${name})`;
  made.style.background = `var(--${name}-soft)`;
  return made;
}

function duration(micros) {
  if (micros < 1000) return `${micros} µs`;
  if (micros < 1e6) return `${(micros / 1000).toPrecision(3)} ms`.replace(/\.0+ /, " ");
  if (micros < 6e7) return `${(micros / 1e6).toPrecision(3)} s`.replace(/\.0+ /, " ");
  return `${Math.floor(micros / 6e7)} min ${Math.round((micros % 6e7) / 1e6)} s`;
}

function tally(results) {
  const counts = {};
  for (const result of results) if (result) counts[result.verdict] = (counts[result.verdict] || 0) + 1;
  return counts;
}

// The text with the words that were searched for marked.
function marked(text, words) {
  if (!words.length) return [text];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pieces = text.split(new RegExp(`(${escaped.join("|")})`, "i"));
  return pieces.map((piece, k) => (k % 2 ? element("mark", {}, piece) : piece));
}
