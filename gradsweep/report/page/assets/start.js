// Everything is there: draw, and follow the window.

const hasCurves = data.metrics.length > 0;
const redraw = () => (hasCurves ? drawAll() : undefined);

startTheme(redraw);
startPrinting(redraw);
if (hasCurves) {
  startControls(redraw);
  startTables();
  startCurveValues();
  redraw();
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar
    width = innerWidth;
    drawChart();
  });
}
startPoints(redraw);
startSettings();

if (data.refresh) {
  let paused = false;
  byId("pause").addEventListener("click", (event) => {
    paused = !paused;
    event.target.setAttribute("aria-pressed", String(paused));
    event.target.textContent = paused ? "Go on" : "Pause";
  });
  setInterval(() => { if (!paused) location.reload(); }, data.refresh * 1000);
}
