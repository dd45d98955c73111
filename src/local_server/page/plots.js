// The figures that a run reported.

import { plots as fetchPlots } from "./api.js";
import { createGrid, drawFigure, plotly } from "./charts.js";
import { empty, h } from "./dom.js";
import { seriesKey } from "./metrics.js";

export function createPlots(id) {
  const grid = createGrid();
  const nothing = empty("No plots have been reported.", 'report.plot("validation", "confusion", figure)');
  let seen = null;
  return {
    element: h("div", { class: "plots" }, nothing, grid.element),
    async refresh(task) {
      if (seen === task.last_update) return;
      plotly().catch(() => {}); // it loads while the figures do
      const latest = new Map();
      for (const plot of await fetchPlots(id)) {
        const key = seriesKey(plot.metric, plot.variant);
        if (!(latest.get(key)?.iter > plot.iter)) latest.set(key, plot);
      }
      seen = task.last_update;
      nothing.hidden = latest.size > 0;
      grid.update(
        [...latest].map(([key, plot]) => ({
          key,
          title: plot.iter > 0 ? `${key} · iteration ${plot.iter}` : key,
          draw: (place) => drawFigure(place, plot.plot_str, key),
        })),
      );
    },
  };
}
