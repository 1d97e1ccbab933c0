(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 640px)");
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  const heights = new Map();

  function theme(place) {
    const layout = place.layout;
    if (!heights.has(place)) heights.set(place, layout.height);
    const ink = dark.matches ? "#dfe4ea" : "#2a2f36";
    const grid = dark.matches ? "#333c47" : "#e3e6ea";
    const change = {
      "height": heights.get(place) + (narrow.matches ? 80 : 0),
      "font.color": ink,
      "hoverlabel.bgcolor": dark.matches ? "#1c232c" : "#ffffff",
      "hoverlabel.bordercolor": grid,
      "hoverlabel.font.color": ink,
    };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) {
        change[key + ".gridcolor"] = grid;
        change[key + ".linecolor"] = grid;
        change[key + ".tickcolor"] = grid;
        if (layout[key].type === "date") change[key + ".nticks"] = narrow.matches ? 4 : 7;
      }
    }
    return change;
  }

  const settings = { displayModeBar: false, scrollZoom: false, doubleClick: "autosize" };
  const places = [...document.querySelectorAll("[data-figure]")];
  const drawings = places.map((place) => {
    const figure = figures[place.dataset.figure];
    if (calm.matches) figure.layout.transition = { duration: 0 };
    return Plotly.newPlot(place, figure.data, figure.layout, settings)
      .then(() => Plotly.relayout(place, theme(place)));
  });
  Promise.all(drawings).then(() => {
    // Width follows the place, not only the window: print, zoom and a turned phone too.
    const watch = new ResizeObserver((seen) => seen.forEach((entry) => Plotly.Plots.resize(entry.target)));
    places.forEach((place) => watch.observe(place));
    document.documentElement.dataset.drawn = String(places.length);
  });
  const again = () => places.forEach((place) => Plotly.relayout(place, theme(place)));
  dark.addEventListener("change", again);
  narrow.addEventListener("change", again);
})();
