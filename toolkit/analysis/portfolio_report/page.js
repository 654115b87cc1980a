"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const drawn = new Set();
  const UNITS = { percent: ".2%", money: ",.2f", number: ".2f", count: ",d" };
  const TICKS = { percent: ".3~%", money: "~s", number: ".2~f", count: ",d" };
  const CONFIG = { responsive: true, displayModeBar: false, displaylogo: false, showTips: false };
  const coarse = matchMedia("(pointer: coarse)").matches;

  const axis = (more) => ({
    gridcolor: css("grid"), linecolor: css("edge"), zeroline: false, automargin: true, ticks: "", fixedrange: coarse, ...more,
  });
  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 8, r: 10, t: 8, b: 8 },
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("soft") },
    hoverlabel: { bgcolor: css("card"), bordercolor: css("edge"), font: { color: css("ink") } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: css("ink") } },
    dragmode: coarse ? false : "zoom", ...more,
  });
  const xOf = (x) => (x && x.ref ? data[x.ref] : x);

  const line = (unit) => (s) => ({
    type: "scatter", mode: "lines", name: s.name, x: xOf(s.x), y: s.y, connectgaps: false,
    line: { color: css(s.role), width: s.width || 1.5, dash: s.dash || "solid", shape: s.step ? "hv" : "linear" },
    fill: s.fill ? "tozeroy" : "none", fillcolor: s.fill ? css(s.role) + "2b" : undefined,
    hovertemplate: `%{y:${UNITS[unit]}}`,
  });
  const across = (y, color, dash) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color, width: 1, dash },
  });
  const kinds = {
    lines(chart) {
      const bands = (chart.bands || []).map(([x0, x1]) => ({
        type: "rect", yref: "paper", y0: 0, y1: 1, x0, x1, line: { width: 2, color: css("loss") }, fillcolor: css("loss"), opacity: 0.25,
      }));
      const marks = (chart.marks || []).map((m) => across(m.y, css("loss"), "dash"));
      const zero = chart.zero ? [across(0, css("muted"), "solid")] : [];
      const texts = (chart.marks || []).map((m) => ({
        xref: "paper", x: 1, xanchor: "right", y: m.y, yanchor: "bottom", text: m.name, showarrow: false, font: { color: css("loss"), size: 11 },
      }));
      return [chart.series.map(line(chart.unit)), {
        xaxis: axis({ type: "date", showgrid: false, hoverformat: "%Y-%m-%d" }), yaxis: axis({ tickformat: TICKS[chart.unit] }),
        hovermode: "x unified", showlegend: chart.series.length > 1, shapes: [...bands, ...marks, ...zero], annotations: texts,
      }];
    },
    bars(chart) {
      const color = chart.y.map((v) => css(v < 0 ? "loss" : "gain"));
      const traces = [{ type: "bar", x: chart.x, y: chart.y, hovertext: chart.text, marker: { color }, hovertemplate: `%{x}: %{y:${UNITS[chart.unit]}}<br>%{hovertext}<extra></extra>` }];
      return [traces, { xaxis: axis({ type: "category", showgrid: false }), yaxis: axis({ tickformat: TICKS[chart.unit], zeroline: true, zerolinecolor: css("muted") }), bargap: 0.25 }];
    },
    intervals(chart) {
      const traces = chart.series.map((s) => ({
        type: "scatter", mode: "markers", name: s.name, x: s.y, y: s.x, hovertext: s.text,
        marker: { color: css(s.role), size: s.low ? 9 : 11, symbol: s.low ? "circle" : "line-ns", line: { color: css(s.role), width: s.low ? 0 : 2.5 } },
        error_x: s.low ? { type: "data", symmetric: false, array: s.high.map((v, k) => v - s.y[k]), arrayminus: s.low.map((v, k) => s.y[k] - v), color: css(s.role), thickness: 1.6, width: 5 } : undefined,
        hovertemplate: "%{y}<br>%{hovertext}<extra>%{fullData.name}</extra>",
      }));
      return [traces, {
        xaxis: axis({ tickformat: TICKS[chart.unit], zeroline: true, zerolinecolor: css("muted") }), hovermode: "closest", showlegend: chart.series.length > 1,
        yaxis: axis({ type: "category", autorange: "reversed", categoryorder: "array", categoryarray: chart.order }),
      }];
    },
    grouped(chart) {
      const traces = chart.series.map((s) => ({
        type: "bar", name: s.name, x: chart.x, y: s.y, hovertext: s.text, marker: { color: css(s.role) }, hovertemplate: "%{hovertext}<extra></extra>",
        error_y: s.low ? { type: "data", symmetric: false, array: s.high.map((v, k) => v - s.y[k]), arrayminus: s.low.map((v, k) => s.y[k] - v), color: css("ink"), thickness: 1.4, width: 6 } : undefined,
      }));
      return [traces, { barmode: "group", bargap: 0.35, bargroupgap: 0.06, xaxis: axis({ type: "category", showgrid: false }), yaxis: axis({ tickformat: TICKS[chart.unit], zeroline: true, zerolinecolor: css("muted") }) }];
    },
    chance(chart) {
      const bars = { type: "histogram", x: chart.values, nbinsx: 40, marker: { color: css("muted") }, opacity: 0.75, name: chart.values_name, hovertemplate: "%{x}: %{y}<extra></extra>" };
      const lines = chart.marks.map((m) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: m.x, x1: m.x, line: { color: css(m.role), width: 2.5 } }));
      const texts = chart.marks.map((m, k) => ({ x: m.x, yref: "paper", y: 1 - 0.1 * k, xanchor: "left", xshift: 5, text: m.name, showarrow: false, font: { color: css(m.role), size: 12 } }));
      return [[bars], { bargap: 0.04, showlegend: false, xaxis: axis({ tickformat: TICKS[chart.unit], hoverformat: UNITS[chart.unit], showgrid: false }), yaxis: axis({}), shapes: lines, annotations: texts }];
    },
    histogram(chart) {
      const sides = [["loss", (v) => v < 0, "losing days"], ["gain", (v) => v >= 0, "other days"]];
      const values = chart.values.filter((v) => v !== null);
      const step = (Math.max(...values) - Math.min(...values)) / 60 || 0.001;
      const traces = sides.map(([role, keep, name]) => ({
        type: "histogram", name, x: values.filter(keep), marker: { color: css(role) }, opacity: 0.9,
        xbins: { start: Math.floor(Math.min(...values) / step) * step, end: Math.max(...values) + step, size: step }, hovertemplate: "%{x}: %{y} days<extra></extra>",
      }));
      return [traces, { barmode: "overlay", bargap: 0.06, showlegend: false, xaxis: axis({ tickformat: TICKS[chart.unit], hoverformat: UNITS[chart.unit], showgrid: false }), yaxis: axis({}) }];
    },
    heat(chart) {
      const few = chart.labels.length <= 12 && innerWidth > 600;
      const short = (text) => (text.length > 26 ? `${text.slice(0, 12)}…${text.slice(-12)}` : text);
      const at = chart.labels.map((_, k) => k);
      const ticks = { tickvals: at, ticktext: chart.labels.map(short), showgrid: false };
      const hover = chart.z.map((row, a) => row.map((_, b) => `${chart.labels[a]}<br>${chart.labels[b]}`));
      const traces = [{
        type: "heatmap", x: at, y: at, z: chart.z, zmin: -1, zmax: 1, text: hover, xgap: 2, ygap: 2,
        colorscale: [[0, css("loss")], [0.5, css("card")], [1, css("gain")]], hovertemplate: "%{text}<br>%{z:.2f}<extra></extra>",
        texttemplate: few ? "%{z:.2f}" : "", colorbar: { thickness: 8, outlinewidth: 0, tickvals: [-1, 0, 1] },
      }];
      return [traces, { xaxis: axis({ ...ticks, tickangle: chart.labels.length > 4 || innerWidth < 600 ? -40 : 0 }), yaxis: axis({ ...ticks, autorange: "reversed" }) }];
    },
    scatter(chart) {
      const traces = chart.groups.map((g) => ({
        type: "scatter", mode: "markers", name: g.name, x: g.x, y: g.y, customdata: g.ids, text: g.pnl,
        marker: { color: css(g.role), size: 6, opacity: 0.65, symbol: g.role === "loss" ? "x-thin" : "circle", line: { color: css(g.role), width: g.role === "loss" ? 1.4 : 0 } },
        hovertemplate: "worst %{x:.2%}, best %{y:.2%}<br>profit %{text:,.2f}<extra></extra>",
      }));
      return [traces, {
        hovermode: "closest", dragmode: false, xaxis: axis({ tickformat: TICKS.percent, title: { text: chart.x_title } }), yaxis: axis({ tickformat: TICKS.percent, title: { text: chart.y_title } }),
      }];
    },
  };

  const draw = (id) => {
    const [traces, more] = kinds[data.charts[id].kind](data.charts[id]);
    const first = !drawn.has(id);
    drawn.add(id);
    return Plotly.react(byId(id), traces, layout(more), CONFIG).then((plot) => {
      if (first && data.charts[id].kind === "scatter") plot.on("plotly_click", (event) => openTrade(event.points[0].customdata));
    });
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target.id);
    }
  }, { rootMargin: "400px" });
  document.querySelectorAll(".plot").forEach((plot) => seen.observe(plot));
  addEventListener("beforeprint", () => Object.keys(data.charts).forEach((id) => drawn.has(id) || draw(id)));

  // Light and dark: the reader's system decides until the button is used; the choice is kept where the browser allows it.
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const repaint = () => {
    byId("theme").textContent = isDark() ? "Light" : "Dark";
    drawn.forEach(draw);
    if (byId("trade").open) openTrade(byId("trade").dataset.shown);
  };
  const stored = (write) => {
    try { return write ? localStorage.setItem("lockstep-theme", write) : localStorage.getItem("lockstep-theme"); } catch { return null; }
  };
  if (stored()) root.dataset.theme = stored();
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    repaint();
  });
  systemDark.addEventListener("change", repaint);
  repaint();

  // Sorting: numbers by value, text by letters, what is missing always last.
  const sortBy = (th) => {
    const table = th.closest("table");
    const column = [...th.parentNode.children].indexOf(th);
    const numeric = th.classList.contains("n");
    const before = th.getAttribute("aria-sort");
    const down = before === "none" ? numeric : before === "ascending";
    for (const other of th.parentNode.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => {
      const text = row.children[column].dataset.sort;
      return text === undefined ? null : isNaN(text) || text === "" ? text : Number(text);
    };
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : compare(a, b) * (down ? -1 : 1)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  document.querySelectorAll("table.sortable th button").forEach((button) => button.addEventListener("click", () => sortBy(button.closest("th"))));

  // A trade on its bars.
  const dialog = byId("trade");
  const utc = (ms) => (ms === null ? "open" : new Date(ms).toISOString().slice(0, 16).replace("T", " "));
  const price = (value) => value.toLocaleString("en", { maximumSignificantDigits: 8 });
  const tradeTraces = (one) => {
    const long = one.side !== "short";
    const dot = (name, k, symbol, color) => ({
      type: "scatter", mode: "markers", name, x: [one.times[k]], y: [one.prices[name]],
      marker: { symbol, size: 13, color: css(color), line: { color: css("card"), width: 1.5 } }, hovertemplate: `${name} %{y}<br>%{x}<extra></extra>`,
    });
    const up = { line: { color: css("gain"), width: 1 }, fillcolor: css("card") };
    const down = { line: { color: css("loss"), width: 1 }, fillcolor: css("loss") };
    const b = one.bars;
    const traces = [{ type: "candlestick", name: "bars", x: b.t, open: b.open, high: b.high, low: b.low, close: b.close, increasing: up, decreasing: down, showlegend: false }];
    traces.push(dot("entry", 0, long ? "triangle-up" : "triangle-down", "c4"));
    if (one.times[1] !== null && "exit" in one.prices) traces.push(dot("exit", 1, "square", "ink"));
    return traces;
  };
  const levels = (one) => [["stop", "loss", "dash"], ["target", "c3", "dash"], ["entry", "c4", "dot"]].filter(([name]) => name in one.prices);
  function openTrade(id) {
    const one = data.trades[id];
    if (!one) return;
    dialog.dataset.shown = id;
    byId("trade-title").textContent = one.title;
    byId("trade-instance").textContent = one.instance || "";
    const facts = { "entry, UTC": utc(one.times[0]), "exit, UTC": utc(one.times[1]) };
    for (const [name, value] of Object.entries(one.prices)) facts[name] = price(value);
    const row = [...document.querySelectorAll("#trades-table tr[data-trade]")].find((tr) => tr.dataset.trade === id);
    const heads = [...document.querySelectorAll("#trades-table th")].map((th) => th.textContent);
    if (row) ["profit", "return", "R", "held", "exit"].forEach((name) => { facts[name === "exit" ? "why it ended" : name] = row.children[heads.indexOf(name)].textContent; });
    byId("trade-facts").replaceChildren(...Object.entries(facts).map(([name, text]) => {
      const pair = document.createElement("div");
      for (const [tag, value] of [["dt", name], ["dd", text]]) pair.append(Object.assign(document.createElement(tag), { textContent: value }));
      return pair;
    }));
    byId("trade-missing").hidden = Boolean(one.bars);
    byId("trade-plot").hidden = !one.bars;
    if (!dialog.open) dialog.showModal();
    if (!one.bars) return;
    const lines = levels(one);
    Plotly.react(byId("trade-plot"), tradeTraces(one), layout({
      xaxis: axis({ type: "date", rangeslider: { visible: false }, showgrid: false }), yaxis: axis({ tickformat: "~f" }), hovermode: "closest", margin: { l: 8, r: 52, t: 8, b: 8 },
      shapes: lines.map(([name, color, dash]) => across(one.prices[name], css(color), dash)),
      annotations: lines.map(([name, color]) => ({ xref: "paper", x: 1.005, xanchor: "left", y: one.prices[name], text: name, showarrow: false, font: { color: css(color), size: 11 } })),
    }), CONFIG);
  }
  document.querySelectorAll("tr[data-trade]").forEach((row) => {
    row.addEventListener("click", () => openTrade(row.dataset.trade));
    row.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      openTrade(row.dataset.trade);
    });
  });
  byId("trade-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // The section being read is marked in the list of sections.
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.getAttribute("href").slice(1), a]));
  const reading = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a, id) => a.classList.toggle("here", id === entry.target.id));
    }
  }, { rootMargin: "-15% 0px -75%" });
  document.querySelectorAll("main > section").forEach((section) => reading.observe(section));
})();
