// Panels as one Plotly figure, with a legend of buttons.

const PANEL_WIDTH = 190;
const PANEL_HEIGHTS = [300, 250, 220]; // of one row of panels, of two, of more
const PAPER_WIDTH = 680; // A4 and Letter between their margins
const FEW_LAYERS = 8; // a line through one or two points would not be seen
const TOP_LAYERS = 5; // as many as the paper names
const TEN_FOLD = 10; // conditions that differ by so much are read on a log scale
const DASHES = ["solid", "6px,3px", "2px,2px", "8px,3px,2px,3px"];

function shade(colour, towards, part) {
  const parts = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const mixed = parts.map((value) => Math.round(value + (towards - value) * part));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** As in the figures: hue by level, irrelevant responses darker (lighter on a dark page). */
function colourOf(value, dash) {
  const encoding = choices.encodings[choices.view];
  const dark = isDark();
  let colour = dark ? "#e6e8ea" : "#222222";
  const theme = dark ? "dark" : "light";
  if (encoding.colour === "cot") colour = data.levelColours[value][theme];
  else if (encoding.colour !== "none") colour = data.palette[values[encoding.colour].indexOf(value) % data.palette.length][theme];
  if (encoding.dashes === "correctness" && dash === "irrelevant" && encoding.colour !== "none") {
    colour = dark ? shade(colour, 255, 0.5) : shade(colour, 0, 0.5);
  }
  return colour;
}

function dashOf(value) {
  const axis = choices.encodings[choices.view].dashes;
  if (axis === "none") return DASHES[0];
  if (axis === "correctness") return value === "irrelevant" ? DASHES[1] : DASHES[0];
  return DASHES[values[axis].indexOf(value) % DASHES.length];
}

const short = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(4))));

function hoverTexts(curve) {
  const words = data.metrics.find((one) => one.key === choices.metric).words;
  const axes = axesOf(choices.view).filter((axis) => axis !== "projection").map((axis) => label(axis, curve[axis]));
  const head = escapeHtml(axes.join(" · "));
  const projection = escapeHtml(data.projections[curve.projection]);
  return curve.layer.map((layer, i) => {
    const numbers = choices.view === "differences"
      ? `RD ${short(curve.value[i])}<br>95 % interval ${short(curve.low[i])} to ${short(curve.high[i])}<br>correct ${short(curve.correct[i])}, irrelevant ${short(curve.irrelevant[i])}<br>n = ${curve.n} questions`
      : `${words} ${short(curve.value[i])}<br>95 % interval ${short(curve.low[i])} to ${short(curve.high[i])}<br>n = ${curve.n} samples`;
    return `${head}<br>${projection}, layer ${layer}<br>${numbers}`;
  });
}

/** Plotly reads a little HTML in texts: a model's name must not be any. */
const escapeHtml = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** Traces of one panel: curves of one colour and dash share a trace, with gaps between them. */
function panelTraces(panel, number) {
  const encoding = choices.encodings[choices.view];
  const groups = new Map();
  for (const curve of panel.curves) {
    const colour = encoding.colour === "none" ? null : curve[encoding.colour];
    const dash = encoding.dashes === "none" ? null : curve[encoding.dashes];
    if (choices.hidden.includes(`colour ${colour}`) || choices.hidden.includes(`dash ${dash}`)) continue;
    const key = JSON.stringify([colour, dash]);
    if (!groups.has(key)) groups.set(key, { colour, dash, curves: [] });
    groups.get(key).curves.push(curve);
  }
  const axes = { xaxis: `x${number || ""}`, yaxis: `y${number || ""}`, showlegend: false };
  const bands = [], lines = [];
  for (const group of groups.values()) {
    const colour = colourOf(group.colour, group.dash);
    if (choices.bands) bands.push({ ...axes, ...band(group.curves, colour) });
    lines.push({ ...axes, ...line(group, colour) });
    if (choices.view === "differences") lines.push({ ...axes, ...largest(group.curves, colour) });
  }
  return [...bands, ...lines];
}

function line(group, colour) {
  const few = group.curves.some((curve) => curve.layer.length < FEW_LAYERS);
  const joined = (list) => group.curves.flatMap((curve) => [...list(curve), null]);
  return {
    type: "scatter", mode: few ? "lines+markers" : "lines",
    x: joined((curve) => curve.layer), y: joined((curve) => curve.value), text: joined(hoverTexts),
    hovertemplate: "%{text}<extra></extra>",
    line: { color: colour, width: 1.8, dash: dashOf(group.dash) }, marker: { size: 5 },
  };
}

function band(curves, colour) {
  const x = [], y = [];
  for (const curve of curves) {
    const there = curve.layer.map((_, i) => i).filter((i) => curve.low[i] !== null);
    const back = [...there].reverse();
    x.push(...there.map((i) => curve.layer[i]), ...back.map((i) => curve.layer[i]), null);
    y.push(...there.map((i) => curve.high[i]), ...back.map((i) => curve.low[i]), null);
  }
  return { type: "scatter", mode: "lines", x, y, fill: "toself", fillcolor: `${colour}2b`, line: { width: 0 }, hoverinfo: "skip" };
}

function largest(curves, colour) {
  const x = [], y = [];
  for (const curve of curves) {
    const order = curve.layer.map((_, i) => i).filter((i) => curve.value[i] !== null);
    order.sort((a, b) => curve.value[b] - curve.value[a] || curve.layer[a] - curve.layer[b]);
    for (const i of order.slice(0, TOP_LAYERS)) { x.push(curve.layer[i]); y.push(curve.value[i]); }
  }
  return { type: "scatter", mode: "markers", x, y, marker: { color: colour, size: 5 }, hoverinfo: "skip" };
}

/** Whether all panels share a y axis, unless the reader says: where there is one row of them. */
const sharesScale = () => choices.shared ?? choices.encodings[choices.view].rows === "none";

/** Whether the axis is logarithmic, unless the reader says: conditions of a panel differ ten-fold. */
function usesLog(panels) {
  if (choices.log !== null) return choices.log;
  if (choices.view === "differences") return false; // a small RD is noise, which factors would enlarge
  const groups = sharesScale() && choices.encodings[choices.view].rows !== "none"
    ? [panels.flatMap((panel) => panel.curves)] : panels.map((panel) => panel.curves);
  return groups.some((curves) => {
    const levels = curves.map(average);
    return curves.every((curve) => curve.value.every((value) => value === null || value > 0))
      && Math.max(...levels) >= TEN_FOLD * Math.min(...levels);
  });
}

function average(curve) {
  const there = curve.value.filter((value) => value !== null);
  return there.reduce((sum, value) => sum + value, 0) / there.length;
}

/** Where panels stand: in their grid, or wrapped where it is wider than the window. */
function layoutOf(arranged, width) {
  const most = Math.max(1, Math.floor(width / PANEL_WIDTH));
  const fits = arranged.columns.length <= Math.max(most, width < 600 ? 1 : 4);
  const nColumns = fits ? arranged.columns.length : Math.max(most, width < 600 ? 2 : 4);
  const nRows = Math.max(1, Math.ceil(arranged.panels.length / nColumns));
  const height = nRows * PANEL_HEIGHTS[Math.min(nRows, PANEL_HEIGHTS.length) - 1] + 46;
  const ink = isDark() ? "#e6e8ea" : "#222222", grid = isDark() ? "#343a41" : "#e3e3e3";
  const paper = isDark() ? "#14171a" : "#ffffff";
  const layout = {
    height, width, showlegend: false, dragmode: width < 600 ? false : "zoom", hovermode: "closest",
    paper_bgcolor: paper, plot_bgcolor: paper, font: { family: "system-ui, sans-serif", size: 12, color: ink },
    margin: { l: 48, r: 8, t: 24, b: 44 }, annotations: [],
    hoverlabel: { align: "left", bgcolor: isDark() ? "#1e2226" : "#ffffff", font: { color: ink, size: 12 } },
  };
  const gapX = 46 / Math.max(width, 300), gapY = 52 / height;
  const w = (1 - gapX * (nColumns - 1)) / nColumns, h = (1 - gapY * (nRows - 1)) / nRows;
  const log = usesLog(arranged.panels), shared = sharesScale();
  arranged.panels.forEach((panel, i) => {
    const column = i % nColumns, row = Math.floor(i / nColumns), id = i ? String(i + 1) : "";
    const x = column * (w + gapX), top = 1 - row * (h + gapY);
    const quiet = { gridcolor: grid, zeroline: false, linecolor: ink, ticks: "outside", ticklen: 3, automargin: false };
    const last = i + nColumns >= arranged.panels.length;
    layout[`xaxis${id}`] = { ...quiet, domain: [x, x + w], anchor: `y${id}`, showgrid: false, nticks: 6, title: last ? { text: "layer", standoff: 4 } : undefined };
    layout[`yaxis${id}`] = { ...quiet, domain: [Math.max(0, top - h), top], anchor: `x${id}`, nticks: 5, type: log ? "log" : "linear", rangemode: "tozero", exponentformat: "power", ...(log ? { tickformat: "~g" } : {}) };
    if (i && shared) layout[`yaxis${id}`].matches = "y";
    if (i) layout[`xaxis${id}`].matches = "x";
    layout.annotations.push({ text: `<b>${escapeHtml(panel.title)}</b>`, x: x + w / 2, y: top, xref: "paper", yref: "paper", xanchor: "center", yanchor: "bottom", showarrow: false });
  });
  return layout;
}

function chartTitle() {
  const metric = data.metrics.find((one) => one.key === choices.metric);
  const only = ["model", "dataset"].filter((axis) => choices.shown[axis].length === 1).map((axis) => label(axis, choices.shown[axis][0]));
  const quantity = choices.view === "differences" ? `RD of the ${metric.words}` : metric.label;
  return [`${quantity} by layer`, ...only].join(" · ");
}

/** Entries of the legend: what they hide, their words, colour and dash. */
function legendEntries(arranged) {
  const encoding = choices.encodings[choices.view];
  const ink = isDark() ? "#e6e8ea" : "#222222";
  const colours = arranged.colours.filter((value) => value !== null).map((value) => (
    { key: `colour ${value}`, text: label(encoding.colour, value), colour: colourOf(value, null), dash: DASHES[0] }));
  const dashes = arranged.dashes.filter((value) => value !== null && encoding.dashes !== encoding.colour).map((value) => (
    { key: `dash ${value}`, text: label(encoding.dashes, value), colour: ink, dash: dashOf(value) }));
  return [...colours, ...(dashes.length > 1 ? dashes : [])];
}

function showLegend(entries) {
  byId("legend").replaceChildren(...entries.map((entry) => {
    const dash = entry.dash === "solid" ? "" : `stroke-dasharray="${entry.dash.replaceAll("px", "")}"`;
    const button = element("button", { type: "button", "aria-pressed": String(!choices.hidden.includes(entry.key)) }, entry.text);
    button.insertAdjacentHTML("afterbegin", `<svg width="26" height="8" aria-hidden="true"><line x1="0" y1="4" x2="26" y2="4" stroke="${entry.colour}" stroke-width="3" ${dash}/></svg>`);
    button.addEventListener("click", () => {
      const hidden = new Set(choices.hidden);
      if (!hidden.delete(entry.key)) hidden.add(entry.key);
      choices.hidden = [...hidden];
      button.setAttribute("aria-pressed", String(!hidden.has(entry.key)));
      keepChoices();
      drawChart();
    });
    return element("li", {}, button);
  }));
}

/** Tiles of everything that the choices show. */
const chosenTiles = () => choices.shown.model.flatMap((model) => choices.shown.dataset.map((dataset) => tileOf(model, dataset)));

function drawChart() {
  if (!haveTiles(chosenTiles(), drawAll)) {
    byId("message").textContent = "reading …";
    return Promise.resolve();
  }
  const arranged = arrange();
  const chart = byId("chart");
  byId("message").textContent = [tileTrouble, arranged.message].filter(Boolean).join(" ");
  byId("chart-title").textContent = chartTitle();
  byId("log").checked = usesLog(arranged.panels);
  byId("shared").checked = sharesScale();
  const traces = arranged.panels.flatMap((panel, i) => panelTraces(panel, i ? i + 1 : 0));
  const layout = layoutOf(arranged, printing ? PAPER_WIDTH : chart.clientWidth);
  return Plotly.react(chart, traces, layout, { displayModeBar: false, responsive: false });
}

function drawAll() {
  showLegend(legendEntries(arrange()));
  byId("curve-values").open = false;
  return drawChart();
}

/** The drawn figure with a legend inside, for a picture that stands alone. */
function saveImage() {
  const chart = byId("chart");
  const keys = legendEntries(arrange()).map((entry) => ({
    type: "scatter", mode: "lines", x: [null], y: [null], name: escapeHtml(entry.text), showlegend: true,
    line: { color: entry.colour, dash: entry.dash, width: 2 },
  }));
  const title = { text: escapeHtml(chartTitle()), x: 0, xanchor: "left", pad: { l: 8 }, font: { size: 14 } };
  const layout = { ...chart.layout, title, showlegend: true, legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom" } };
  layout.margin = { ...layout.margin, t: 60, b: 80 };
  layout.height += 72;
  const figure = { data: [...chart.data, ...keys], layout };
  return Plotly.downloadImage(figure, { format: "png", scale: 2, width: layout.width, height: layout.height, filename: `${choices.view}-${choices.metric}` });
}
