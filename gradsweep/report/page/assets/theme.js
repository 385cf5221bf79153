"use strict";
// The page's data, and what every script needs of the document.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** An element with properties and children; text is text, never HTML. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** What the reader chose last on this page; a browser that stores nothing begins anew. */
const memory = {
  key: `gradsweep:${location.pathname}`,
  read() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key)) || {};
    } catch (error) {
      return {};
    }
  },
  write(change) {
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ ...this.read(), ...change }));
    } catch (error) {
      console.info("choices are not kept:", error.message);
    }
  },
};

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
let printing = false;

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return !printing && (chosen ? chosen === "dark" : darkSystem.matches);
}

function showTheme() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
}

function startTheme(redraw) {
  const chosen = memory.read().theme;
  if (chosen) document.documentElement.dataset.theme = chosen;
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    memory.write({ theme: document.documentElement.dataset.theme });
    showTheme();
    redraw();
  });
  darkSystem.addEventListener("change", () => { showTheme(); redraw(); });
  showTheme();
}

/** Paper is white, and what is folded on the screen is printed. */
function startPrinting(redraw) {
  let theme, opened;
  addEventListener("beforeprint", () => {
    printing = true;
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    opened = [...document.querySelectorAll("#findings details:not([open])")];
    opened.forEach((one) => { one.open = true; });
    redraw();
  });
  addEventListener("afterprint", () => {
    printing = false;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    opened.forEach((one) => { one.open = false; });
    redraw();
  });
}
