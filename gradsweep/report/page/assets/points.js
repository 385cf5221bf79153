// One point at a time: its state, its settings, and the samples that stand out.

const nameOf = (point) => AXES.map((axis) => label(axis, point.axes[axis]) ?? point.axes[axis]).join(" · ");

function definitions(pairs) {
  return element("dl", {}, ...pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function showPoint(point) {
  if (!haveTiles([tileOf(point.axes.model, point.axes.dataset)], () => showPoint(point))) return;
  const facts = [["point", point.id], ["state", point.state], ["samples", `${point.stored} stored, ${point.bad} not measured`]];
  if (point.note) facts.push([point.state === "failed" ? "error" : "note", point.note]);
  const parts = [element("h3", { className: "on-paper" }, nameOf(point)), definitions(facts)];
  if (point.outliers?.length) parts.push(...outliers(point));
  if (point.bad) parts.push(badSamples(point));
  if (point.command) parts.push(element("h3", {}, "Command"), element("pre", {}, element("code", {}, point.command)));
  const own = Object.entries(point.settings ?? {});
  if (own.length) parts.push(element("details", {}, element("summary", {}, "Settings that not all points share"), definitions(own)));
  const all = Object.entries(settingsOf(point));
  if (all.length) parts.push(element("details", {}, element("summary", {}, "All settings and versions"), definitions(all)));
  byId("point").replaceChildren(...parts);
  byId("show-point").disabled = !point.stored || !data.metrics.length;
  memory.write({ point: point.id });
}

/** By name; of a point that was not started there are none. */
function settingsOf(point) {
  if (!point.started) return {};
  return Object.fromEntries(Object.entries({ ...data.settings, ...point.settings }).sort());
}

function outliers(point) {
  const words = data.metrics.find((one) => one.key === data.sampleMetric).label;
  const heading = element("h3", {}, "Samples farthest from the median");
  const explained = element("p", { className: "quiet" },
    `${words}, mean over layers and projections; the point's median is ${short(point.outliers[0].median)}.` +
    (point.without_text ? ` No text: ${point.without_text}.` : ""));
  const items = point.outliers.map((sample) => {
    const times = sample.median ? ` (${short(sample.value / sample.median)}× the median)` : "";
    const counts = `${sample.n_response_tokens} response tokens, loss ${short(sample.loss)}`;
    const summary = element("summary", {}, `sample ${sample.index}: ${short(sample.value)}${times}, ${counts}`);
    const ids = element("p", { className: "quiet" }, `sample_id ${sample.sample_id}, question_id ${sample.question_id}` + (sample.truncated ? ", truncated" : ""));
    const texts = sample.prompt === undefined ? [] : [
      element("h4", {}, "prompt"), element("pre", {}, sample.prompt),
      element("h4", {}, "response"), element("pre", {}, sample.response)];
    return element("details", { open: sample === point.outliers[0] }, summary, ids, ...texts);
  });
  return [heading, explained, ...items];
}

function badSamples(point) {
  const listed = point.bad_samples ?? [];
  const more = point.bad > listed.length ? `, the first ${listed.length} of ${point.bad}` : "";
  return tableElement(`Samples that were not measured${more}`, ["sample", "status", "reason"],
    listed.map((sample) => [String(sample.index), sample.status, sample.reason]));
}

function startPoints(redraw) {
  const choice = byId("point-choice");
  const kept = memory.read().point;
  const first = data.points.some((point) => point.id === kept) ? kept : data.points[0]?.id;
  fillSelect(choice, data.points.map((point) => [point.id, nameOf(point)]), first);
  const chosen = () => data.points.find((point) => point.id === choice.value);
  choice.addEventListener("change", () => showPoint(chosen()));
  for (const link of document.querySelectorAll("[data-point]")) {
    link.addEventListener("click", () => { choice.value = link.dataset.point; showPoint(chosen()); });
  }
  byId("show-point").addEventListener("click", () => {
    for (const axis of AXES) choices.shown[axis] = [chosen().axes[axis]];
    choices.view = choices.preset = "curves";
    keepChoices();
    showControls();
    redraw();
    byId("curves").scrollIntoView();
  });
  if (first) showPoint(chosen());
}

/** What the cells of the map show. */
function startMap() {
  byId("map-by")?.addEventListener("click", (event) => {
    const by = event.target.dataset.by;
    if (!by) return;
    byId("map").dataset.by = by;
    for (const button of byId("map-by").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.by === by));
    }
  });
}

function startSettings() {
  if (data.tiles) return byId("save-settings").replaceWith("Settings of every point: settings.csv beside this page."); // not all are here
  byId("save-settings").addEventListener("click", () => {
    const names = [...new Set(data.points.flatMap((point) => Object.keys(settingsOf(point))))].sort();
    const lines = data.points.map((point) => {
      const settings = settingsOf(point);
      return [point.id, ...AXES.map((axis) => point.axes[axis]), ...names.map((name) => settings[name])];
    });
    saveFile("settings.csv", csvText(["point_id", ...AXES, ...names], lines));
  });
}
