// The report's tables, and the values of the drawn curves.

const MOST_LINES = 500;

/** A value, and below it its interval. */
const valueCell = ([value, ends]) => element("td", { className: "number" }, value, ...(ends ? [element("small", {}, ends)] : []));

function showTable(table, everything) {
  const heads = [element("tr", {}, element("td", { colSpan: table.keys.length }),
    ...table.groups.map((group) => element("th", { scope: "colgroup", colSpan: group.names.length }, group.heading)))];
  heads.push(element("tr", {}, ...table.keys.map((key) => element("th", { scope: "col" }, key)),
    ...table.groups.flatMap((group) => group.names.map((name) => element("th", { scope: "col", className: "number" }, name)))));
  let before = [];
  const body = table.lines.filter((line) => everything || !line.more).map((line) => {
    const same = line.keys.findIndex((key, i) => key !== before[i]);
    const starts = before.length && same < table.blocks;
    before = line.keys;
    const keys = line.keys.map((key, i) => (starts || i >= same ? key : "")); // what the line above says is not repeated
    return element("tr", { className: starts ? "block-start" : "" },
      ...keys.map((key) => element("th", { scope: "row" }, key)), ...line.cells.map(valueCell));
  });
  byId("table").replaceChildren(element("table", {}, element("caption", {}, element("span", {}, table.caption)),
    element("thead", {}, ...heads), element("tbody", {}, ...body)));
}

function startTables() {
  const choice = byId("table-choice"), more = byId("more-lines");
  fillSelect(choice, data.tables.map((table, i) => [String(i), table.title]), "0");
  const chosen = () => data.tables[Number(choice.value)];
  const everything = () => more.getAttribute("aria-expanded") === "true";
  const showChosen = () => {
    if (!chosen().lines && !haveTiles([chosen().tile], showChosen)) return;
    more.hidden = !chosen().lines.some((line) => line.more);
    showTable(chosen(), everything());
  };
  choice.addEventListener("change", showChosen);
  more.addEventListener("click", () => {
    more.setAttribute("aria-expanded", String(!everything()));
    more.textContent = everything() ? "All layers only" : "Early, middle, late layers";
    showChosen();
  });
  byId("save-table").addEventListener("click", () => saveFile(`${chosen().name}.csv`, chosen().csv));
  showChosen();
}

function startCurveValues() {
  byId("curve-values").addEventListener("toggle", (event) => {
    const place = event.target.querySelector("div");
    if (!event.target.open) return place.replaceChildren();
    const { heading, lines, nKeys } = curveLines();
    const more = lines.length > MOST_LINES ? `; the first ${MOST_LINES} of ${lines.length}, all are in the CSV` : "";
    const numbers = new Set([...heading.keys()].slice(nKeys));
    return place.replaceChildren(tableElement(`${chartTitle()}${more}`, heading, lines.slice(0, MOST_LINES), numbers));
  });
  byId("save-curves").addEventListener("click", () => {
    const { heading, lines } = curveLines();
    saveFile(`${choices.view}-${choices.metric}.csv`, csvText(heading, lines));
  });
  byId("save-image").addEventListener("click", saveImage);
}
