"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const figures = JSON.parse(document.getElementById("figure-data").textContent);
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const plots = [...document.querySelectorAll("[data-figure]")];

  // The reader's choice is kept where the browser allows a local file to keep anything.
  const memory = {
    get: () => { try { return localStorage.getItem("fusionspark-theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("fusionspark-theme", value); } catch { /* not kept */ } },
  };
  const wanted = () => memory.get() || (dark.matches ? "dark" : "light");

  // Only keys that hold colours are looked up: a class may be called "@accent".
  const COLOURED = new Set(["color", "bgcolor", "colorscale"]);
  const coloured = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("@") ? style.getPropertyValue("--" + value.slice(1)).trim() : value;
    }
    return Array.isArray(value) ? value.map((item) => coloured(item, style)) : value;
  };
  const themed = (value, style) => {
    if (Array.isArray(value)) return value.map((item) => themed(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) =>
      [key, COLOURED.has(key) && (typeof inner === "string" || Array.isArray(inner))
        ? coloured(inner, style) : themed(inner, style)]));
  };

  const draw = (plot, fixed) => {
    const figure = figures[plot.dataset.figure];
    const style = getComputedStyle(root);
    const get = (name) => style.getPropertyValue("--" + name).trim();
    const { data, layout } = themed(figure, style);
    const axis = { gridcolor: get("grid"), linecolor: get("line"), zerolinecolor: get("grid") };
    Plotly.react(plot, data, {
      ...layout,
      autosize: !fixed, ...(fixed ? { width: fixed, height: plot.clientHeight } : {}),
      xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: get("text") },
      hoverlabel: { bgcolor: get("surface"), bordercolor: get("line"), align: "left", font: { color: get("text") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: get("muted"), activecolor: get("accent") },
      // A finger that scrolls the page must not draw a zoom box.
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    }, {
      responsive: !fixed, displaylogo: false,
      displayModeBar: plot.dataset.figure === "map" && !fixed ? "hover" : false,
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    });
  };
  const show = (theme, fixed) => {
    root.dataset.theme = theme;
    plots.forEach((plot) => draw(plot, fixed));
  };

  document.getElementById("theme").addEventListener("click", () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    memory.set(next);
    show(next);
  });
  dark.addEventListener("change", () => show(wanted()));

  // Paper is light, and as wide as A4 within its margins; folded texts are opened.
  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = folded();
    opened.forEach((item) => { item.open = true; });
    show("light", 640);
  });
  addEventListener("afterprint", () => {
    opened.forEach((item) => { item.open = false; });
    show(wanted());
  });
  document.getElementById("print").addEventListener("click", () => print());

  const valueOf = (row, i) => {
    const cell = row.cells[i];
    const raw = cell.dataset.sort ?? cell.textContent.trim();
    const figure = raw === "" ? NaN : Number(raw.replace(/,/g, ""));
    return Number.isNaN(figure) ? raw : figure;
  };
  const NOTHING = "–";
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, root.lang, { numeric: true });
  };
  for (const table of document.querySelectorAll(".table-block table")) {
    const heads = [...table.querySelectorAll("th")];
    heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
      // Figures are most often wanted from the top.
      const before = head.getAttribute("aria-sort");
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = before === first ? other : first;
      heads.forEach((one) => one.setAttribute("aria-sort", one === head ? order : "none"));
      const sign = order === "ascending" ? 1 : -1;
      const known = (row) => valueOf(row, i) !== NOTHING && valueOf(row, i) !== "";
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (known(b) - known(a)) || sign * compare(valueOf(a, i), valueOf(b, i)));
      table.tBodies[0].append(...rows);
    }));
  }
  for (const input of document.querySelectorAll(".filter input")) {
    const block = input.closest(".table-block");
    const rows = [...block.querySelectorAll("tbody tr")];
    input.addEventListener("input", () => {
      const wanted = input.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLocaleLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      input.nextElementSibling.textContent = wanted.length
        ? texts.shown.replace("{shown}", shown).replace("{all}", rows.length) : "";
    });
  }

  show(wanted());
  root.dataset.ready = "true";
})();
