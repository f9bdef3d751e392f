// A lesson's sliders, without a kernel: a template takes the place of the still picture. Each drawing
// has the name of the lesson's function, and shows what that one draws.
const WIDTH = 300, HEIGHT = 190; // of the axes, in a picture's own units
const shown = value => (Math.round(100 * value) / 100).toFixed(2).replace("-", "−");
const range = (low, high, step) =>
  Array.from({length: Math.round((high - low) / step) + 1}, (_, i) => low + i * step);
const log_normal = (x, mu, sigma) =>
  -0.5 * ((x - mu) / sigma) ** 2 - Math.log(sigma * Math.sqrt(2 * Math.PI));
const normal = (...of) => Math.exp(log_normal(...of));

// A picture. x, y: the ends of an axis, its ticks, label and, if it is not linear, scale. `marks`
// makes the SVG of what the axes hold, by `path`, a line through points, and `at`, a point's place.
function picture(legend, x, y, marks) {
  const part = (value, [low, high, , , scale = one => one]) =>
    (scale(value) - scale(low)) / (scale(high) - scale(low));
  const at = (a, b) => [part(a, x) * WIDTH, (1 - part(b, y)) * HEIGHT].map(v => v.toFixed(1));
  const path = (kind, points) => `<path class="${kind}" d="M${points.map(p => at(...p)).join("L")}"/>`;
  const tick = (value, x, y, anchor) => `<text class="tick" x="${x}" y="${y}"
    text-anchor="${anchor}">${String(value).replace("-", "−")}</text>`;
  const ticks = x[2].map(value => tick(value, at(value, 0)[0], HEIGHT + 16, "middle"))
    .concat(y[2].map(value => tick(value, -6, Number(at(0, value)[1]) + 4, "end"))).join("");
  return `<svg class="picture" viewBox="-56 -28 366 254" aria-hidden="true">
    <text y="-12">${legend}</text>${ticks}
    <text x="${WIDTH / 2}" y="${HEIGHT + 33}" text-anchor="middle">${x[3]}</text>
    <text transform="translate(-46 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${y[3]}</text>
    <svg width="${WIDTH}" height="${HEIGHT}">${marks(path, at)}</svg>
    <path class="axis" d="M0 0V${HEIGHT}H${WIDTH}"/></svg>`;
}
const key = (kind, sign, words) => `<tspan class="${kind}">${sign}</tspan> ${words}&emsp;`;
const dot = (kind, [x, y]) => `<circle class="${kind}" cx="${x}" cy="${y}" r="4"/>`;

const DRAWINGS = {
  // Lesson 2. The integrals are sums on the lesson's grid.
  move({datapoint, mu, sigma}, {z, log_joint, log_p}) {
    const joint = log_joint[datapoint], top = log_p[datapoint], step = z[1] - z[0];
    const mean = (of_mu, f) => step * z.reduce((sum, one, i) => {
      const log_q = log_normal(one, of_mu, sigma);
      return sum + Math.exp(log_q) * f(log_q, joint[i]);
    }, 0);
    const bound = of_mu => mean(of_mu, (log_q, log_joint) => log_joint - log_q);
    const lower = bound(mu), of_two = Math.round(100 * top) - Math.round(100 * lower);
    const drawn = range(0, z.length - 1, 5);
    const scale = nats => nats > -1 ? nats : -1 - Math.log10(-nats);
    return [
      `bound ${shown(lower)} + gap ${shown(of_two / 100)} = ${shown(top)} nats`,
      picture(key("fill", "■", "posterior p(z|x)") + key("one", "━", "q(z)"),
        [-3, 3, range(-3, 3, 1), "z"], [0, 4, range(0, 4, 1), "density"], path =>
          path("fill", drawn.map(i => [z[i], Math.exp(joint[i] - top)]))
          + path("one", drawn.map(i => [z[i], normal(z[i], mu, sigma)]))),
      picture(key("ink", "●", "log p(x)") + key("gap", "┃", "gap") + key("one", "●", "bound")
        + key("quiet", "━", "at each μ"),
        [-2.6, 2.6, range(-2, 2, 1), "μ, the mean of q"],
        [-150, 0, [-100, -10, -1, 0], "nats, logarithmic below −1", scale], (path, at) =>
          path("quiet", range(-2.6, 2.6, 0.05).map(of_mu => [of_mu, bound(of_mu)]))
          + path("ink", [[-2.6, top], [2.6, top]]) + path("gap", [[mu, top], [mu, lower]])
          + dot("ink", at(mu, top)) + dot("one", at(mu, lower))),
    ];
  },
  // Lesson 3, with f(z) = z^2.
  follow({epsilon, mu, sigma}) {
    const z = mu + sigma * epsilon, line = range(-4, 6, 0.05);
    const density = (mu, sigma, foot) =>
      [[-4, foot], ...line.map(one => [one, foot + normal(one, mu, sigma)]), [6, foot]];
    return [
      `z = ${shown(mu)} + ${shown(sigma)} × ${shown(epsilon)} = ${shown(z)}; `
        + `df/dμ\u00a0=\u00a0${shown(2 * z)}, df/dσ\u00a0=\u00a0${shown(2 * z * epsilon)}`,
      picture(key("fill", "■", "noise ε, below") + key("one", "■", "z = μ + σε, above"),
        [-4, 6, range(-4, 6, 2), "value"], [-0.2, 3.8, [], ""], (path, at) =>
          path("fill", density(0, 1, 0)) + path("one fill", density(mu, sigma, 2))
          + path("ink", [[epsilon, 0], [z, 2]]) + dot("ink", at(epsilon, 0)) + dot("ink", at(z, 2))),
      picture(key("quiet", "━", "f(z) = z²") + key("two", "━", "tangent, of slope 2z"),
        [-4, 6, range(-4, 6, 2), "z"], [-2, 20, range(0, 20, 5), "f(z)"], (path, at) =>
          path("quiet", line.map(one => [one, one ** 2]))
          + path("two", [-4, 6].map(one => [one, z ** 2 + 2 * z * (one - z)]))
          + dot("ink", at(z, z ** 2))),
    ];
  },
};

function start(explorer) {
  const data = JSON.parse(explorer.querySelector("script").textContent);
  const controls = [...explorer.querySelectorAll("input, select")];
  const draw = () => {
    const values = Object.fromEntries(controls.map(({name, type, value}) =>
      [name, type === "range" ? Number(value) : value]));
    const [words, ...pictures] = DRAWINGS[explorer.dataset.draws](values, data);
    for (const output of explorer.querySelectorAll("output"))
      output.textContent = shown(values[output.previousElementSibling.name]);
    explorer.querySelector(".words").textContent = words;
    explorer.querySelector(".pictures").innerHTML = pictures.join("");
  };
  explorer.addEventListener("input", draw);
  draw();
}

document.addEventListener("DOMContentLoaded", () => {
  for (const template of document.querySelectorAll("template.live")) {
    const place = template.closest(".cell_output");
    place.replaceChildren(template.content);
    place.querySelectorAll(".explorer").forEach(start);
  }
});
