// From choices to panels of curves: no drawing here.

const MOST_PANELS = 60;
const MOST_CURVES = 1500;

const axesOfPoint = new Map(data.points.map((point) => [point.id, point.axes]));

/** Every curve that the choices keep, with its axes and projection. */
function chosenCurves() {
  const differences = choices.view === "differences";
  let found = (differences ? data.differences : data.curves)[choices.metric] ?? [];
  if (!differences) found = found.map((curve) => ({ ...curve, ...axesOfPoint.get(curve.point) }));
  found = found.filter((curve) => curve.value.some((value) => value !== null));
  found = found.filter((curve) => axesOf(choices.view).every((axis) => choices.shown[axis].includes(curve[axis])));
  return choices.view === "pairs" ? inPairs(found) : found;
}

/** Only conditions that have both correct and irrelevant responses. */
function inPairs(curves) {
  const key = (curve) => JSON.stringify([curve.model, curve.dataset, curve.cot, curve.objective, curve.projection]);
  const kinds = new Map();
  for (const curve of curves) kinds.set(key(curve), (kinds.get(key(curve)) ?? new Set()).add(curve.correctness));
  return curves.filter((curve) => kinds.get(key(curve)).size > 1);
}

/** Values of an axis that the curves have, in reading order; one for no axis. */
function present(curves, axis) {
  if (axis === "none") return [null];
  const there = new Set(curves.map((curve) => curve[axis]));
  return values[axis].filter((value) => there.has(value));
}

/** {rows, columns, panels: [{row, column, curves}], colours, dashes, message}. */
function arrange() {
  let curves = chosenCurves();
  const encoding = choices.encodings[choices.view];
  const notes = [];
  if (!curves.length) notes.push(emptyNote());
  if (curves.length > MOST_CURVES) {
    notes.push(`${curves.length} curves are more than can be read: the first ${MOST_CURVES} are drawn. Choose fewer.`);
    curves = curves.slice(0, MOST_CURVES);
  }
  const at = (curve, name) => (encoding[name] === "none" ? null : curve[encoding[name]]);
  const rows = present(curves, encoding.rows);
  const columns = present(curves, encoding.columns);
  let panels = rows.flatMap((row) => columns.map((column) => ({
    row, column, title: titleOf(encoding, row, column),
    curves: curves.filter((curve) => at(curve, "rows") === row && at(curve, "columns") === column),
  })));
  if (panels.length > MOST_PANELS) {
    notes.push(`${panels.length} panels are more than can be read: the first ${MOST_PANELS} are drawn. Choose fewer.`);
    panels = panels.slice(0, MOST_PANELS);
  }
  const mixed = mixedAxes(curves, encoding);
  if (mixed.length) {
    const words = mixed.map((axis) => AXIS_WORDS[axis]).join(" and ");
    notes.push(`Curves of one colour differ in ${words}: give it columns, rows, a colour or dashes, or choose one.`);
  }
  return {
    rows, columns, panels, message: notes.join(" "),
    colours: present(curves, encoding.colour), dashes: present(curves, encoding.dashes),
  };
}

function emptyNote() {
  if (choices.view === "curves") return "No curve has all of these choices.";
  return "None of these choices has both correct and irrelevant responses.";
}

function titleOf(encoding, row, column) {
  const parts = [[encoding.columns, column], [encoding.rows, row]];
  const named = parts.filter(([axis]) => axis !== "none").map(([axis, value]) => label(axis, value));
  return [...new Set(named)].join(" · ");
}

/** Axes with several values among the curves that nothing tells apart. */
function mixedAxes(curves, encoding) {
  const told = new Set(Object.values(encoding));
  return axesOf(choices.view).filter((axis) => !told.has(axis) && present(curves, axis).length > 1);
}

/** Columns and lines of the drawn curves, for the table and its CSV. */
function curveLines() {
  const differences = choices.view === "differences";
  const axes = axesOf(choices.view);
  const numbers = differences ? ["RD", "low", "high", "correct", "irrelevant", "questions"] : ["mean", "low", "high", "samples"];
  const lines = chosenCurves().flatMap((curve) => curve.layer.map((layer, i) => {
    const shown = differences
      ? [curve.value[i], curve.low[i], curve.high[i], curve.correct[i], curve.irrelevant[i], curve.n]
      : [curve.value[i], curve.low[i], curve.high[i], curve.n];
    return [...axes.map((axis) => curve[axis]), choices.metric, layer, ...shown];
  }));
  return { heading: [...axes, "metric", "layer", ...numbers], lines, nKeys: axes.length + 1 };
}
