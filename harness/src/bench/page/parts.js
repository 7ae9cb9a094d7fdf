// The parts that every view uses. Text from a client's run only ever goes in as text.

const data = JSON.parse(document.getElementById("data").textContent);
const GIB = 2 ** 30;

const sizeText = (bytes) => (bytes % 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`);
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
const cellName = (c) => `${c.operation}, ${c.bufferCount} × ${sizeText(c.maxTransferSize)}, ${count(c.devices, "device")}`;
const sameCell = (a, b) => cellName(a) === cellName(b);
const colour = (k) => `var(--s${k % 6})`;

// Three digits that matter.
// Not every system counts context switches.
const counted = (r) => r.runs.every((run) => run.clientContextSwitches !== null && run.serverContextSwitches !== null);
const switchesText = (switches, bytes) => (switches === null ? "–" : short(switches / bytes));

function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 99.95) return Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
  return value.toFixed(size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3);
}

function microsText(value) {
  if (value >= 1e6) return `${short(value / 1e6)} s`;
  if (value >= 1000) return `${short(value / 1000)} ms`;
  return value < 1 ? `${Math.round(value * 1000)} ns` : `${short(value)} µs`;
}

const percentText = (part, digits = 1) => `${(part * 100).toFixed(digits)}\u202f%`;
const noise = (spread) => (spread.median ? (spread.high - spread.low) / 2 / spread.median : 0);

function spread(numbers) {
  const all = numbers.filter(Number.isFinite).sort((a, b) => a - b);
  if (!all.length) return null;
  const middle = all.length >> 1;
  const median = all.length % 2 ? all[middle] : (all[middle - 1] + all[middle]) / 2;
  return { median, low: all[0], high: all.at(-1), all };
}

const gib = (run) => run.bytes / GIB;
const copyOf = (cell) => data.baselines.find((b) => b.maxTransferSize === cell.maxTransferSize && b.bufferCount === cell.bufferCount)?.bytesPerSecond;
