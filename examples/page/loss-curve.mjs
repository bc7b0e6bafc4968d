// @ts-check
// Draws losses by step as lines in an SVG element.

/**
 * @typedef {object} Curve
 * @property {string} name
 * @property {string} colour
 * @property {readonly (readonly [number, number])[]} points step and loss
 */

const [width, height, left, bottom, top] = [640, 260, 44, 28, 12];

/**
 * @param {SVGElement} svg
 * @param {readonly Curve[]} curves
 * @param {number} steps
 */
export function drawLoss(svg, curves, steps) {
  const losses = curves.flatMap(({ points }) => points.map(([, loss]) => loss));
  const [low, high] = [Math.floor(Math.min(...losses)), Math.ceil(Math.max(...losses))];
  const x = (/** @type {number} */ step) => left + ((step - 1) / Math.max(1, steps - 1)) * (width - left - 12);
  const y = (/** @type {number} */ loss) => top + ((high - loss) / Math.max(1, high - low)) * (height - top - bottom);
  const grid = Array.from({ length: high - low + 1 }, (_, i) => low + i).map(
    (loss) =>
      `<line x1="${left}" x2="${width}" y1="${y(loss)}" y2="${y(loss)}" stroke="var(--line)" stroke-width="1" />` +
      `<text x="${left - 8}" y="${y(loss) + 4}" text-anchor="end">${loss}</text>`,
  );
  const ticks = [1, 5, 10, 15, 20].filter((step) => step <= steps);
  const axis = ticks.map((step) => `<text x="${x(step)}" y="${height - 8}" text-anchor="middle">${step}</text>`);
  const lines = curves.map(({ colour, points }) => {
    const places = points.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`);
    const dots = places.map(
      (place) => `<circle cx="${place.split(",")[0]}" cy="${place.split(",")[1]}" r="2.5" fill="${colour}" />`,
    );
    return `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="2" />${dots.join("")}`;
  });
  const names = curves.map(
    ({ name, colour }, i) =>
      `<text x="${width - 8}" y="${top + 16 + 18 * i}" text-anchor="end" fill="${colour}">${name}</text>`,
  );
  const style = "<style>text { font: 12px system-ui, sans-serif; } text:not([fill]) { fill: var(--soft); }</style>";
  svg.innerHTML = [style, ...grid, ...axis, ...lines, ...names].join("");
}
