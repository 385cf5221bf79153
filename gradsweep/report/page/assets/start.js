// Everything is there: draw, and follow the window.

const hasCurves = data.metrics.length > 0;
const redraw = () => {
  if (hasCurves) drawAll();
  drawTraining();
};

startTheme(redraw);
startPrinting(redraw);
if (hasCurves) {
  startControls(redraw);
  if (data.tables.length) startTables();
  startCurveValues();
}
startTraining();
redraw();
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's address bar
  width = innerWidth;
  if (hasCurves) drawChart();
  drawTraining();
});
startPoints(redraw);
startMap();
startSettings();

if (data.refresh) startLoading(data.refresh * 1000);

/** Loads the page again and again, but not while the reader points at something or types. */
function startLoading(milliseconds) {
  const STILL = 2000;
  let paused = false, touched = -STILL, next = performance.now() + milliseconds;
  keepFolds();
  for (const name of ["pointermove", "pointerdown", "keydown"]) {
    addEventListener(name, () => { touched = performance.now(); }, { passive: true });
  }
  byId("pause").addEventListener("click", (event) => {
    paused = !paused;
    event.target.setAttribute("aria-pressed", String(paused));
    event.target.textContent = paused ? "Go on" : "Pause";
  });
  setInterval(() => {
    const now = performance.now();
    if (paused || now < next || now < touched + STILL) return;
    next = now + milliseconds;
    location.reload();
  }, 250);
}

/** What is unfolded, and where the keyboard is, are as they were before the page was loaded again. */
function keepFolds() {
  const named = () => [...document.querySelectorAll("section[id] details")].map((one) => (
    [`${one.closest("section").id}: ${one.querySelector("summary").textContent}`, one]));
  const kept = memory.read();
  for (const [name, one] of named()) one.open = kept.folds?.[name] ?? one.open;
  if (kept.focus) byId(kept.focus)?.focus({ preventScroll: true });
  addEventListener("pagehide", () => {
    const folds = Object.fromEntries(named().map(([name, one]) => [name, one.open]));
    memory.write({ folds, focus: document.activeElement?.id ?? "" });
  });
}
