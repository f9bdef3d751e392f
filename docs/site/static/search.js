// What Sphinx's search lacks: American spelling, and an order. First comes what the library calls
// so, of VAE before others; then headings with all the words, those of whole pages before sections;
// then pages. Results are in ascending order: the last one is shown first.
const PLAIN = {"|": "||", Vert: "||", parallel: "||", mid: "|", sim: "~", times: "×", pm: "±",
  le: "≤", ge: "≥", approx: "≈", in: "∈", dots: "…"}; // the TeX of an excerpt

document.addEventListener("DOMContentLoaded", () => { // before Sphinx's own, which starts the search
  const {query, _performSearch: perform, htmlToText} = Search;
  const stemmer = new Stemmer();
  const stems = text => splitQuery(text.toLowerCase()).filter(word => !stopwords.has(word))
    .map(word => stemmer.stemWord(word));
  Search.query = text => query(text.replace(/reparamete?ri[sz]/gi, "reparameteris")
    .replace(/\bcolor(?!_)/gi, "colour")); // color_mode is an argument of Keras's
  Search._performSearch = (text, words, ...terms) => {
    const asked = text.trim().toLowerCase().replace(/\(.*/, "").replace(/\s+/g, "_");
    const is_vae = full => full.toLowerCase().endsWith(`.vae.${asked}`);
    const objects = Object.entries(OBJECTS).filter(([full, [, , inherited]]) =>
      is_vae(full) || `.${full.toLowerCase()}`.endsWith(`.${asked}`)
        && (asked.includes(".") || !inherited));
    objects.sort(([a], [b]) => is_vae(b) - is_vae(a));
    const first = objects.map(([full, [page, anchor, inherited, kind]]) =>
      [page, full, `#${anchor}`, inherited ? `inherited ${kind}` : kind, 100, "", "object"]);

    const needed = stems(text); // Sphinx's words lack numbers, as in "figure 2"
    const {alltitles, titles, docnames} = Search._index, pages = [], sections = [];
    const exact = title => title.toLowerCase().includes(text.trim().toLowerCase());
    const headings = Object.entries(alltitles).map(([title, places]) => [stems(title), title, places])
      .filter(([in_title]) => needed.length && needed.every(word => in_title.includes(word)))
      .sort(([a, one], [b, other]) => exact(other) - exact(one) || a.length - b.length);
    for (const [, title, places] of headings) for (const [page, anchor] of places) {
      const whole = titles[page] === title;
      (whole ? pages : sections).push([docnames[page], whole ? title : `${titles[page]} > ${title}`,
        anchor ? `#${anchor}` : "", null, 50, "", "title"]);
    }
    first.push(...pages, ...sections);
    const listed = new Set(first.map(([page, title]) => `${page} ${title}`));
    const asks = title => splitQuery(text.toLowerCase()).some(word => // all names have "vae_keras"
      title.replace("vae_keras.", "").toLowerCase().includes(word));
    const others = perform(text, words, ...terms).filter(([page, title, , , , , kind]) =>
      !listed.has(`${page} ${title}`) && (kind !== "object" || asks(title)));
    const is_figure = ([page]) => page.startsWith("reproduce/"); // long tables, with every word
    return [...others.filter(is_figure), ...others.filter(one => !is_figure(one)), ...first.reverse()];
  };
  // An excerpt is of the page's source, where formulas are TeX: short ones in plain characters.
  Search.htmlToText = (...page) => htmlToText(...page).replace(/\\\[[^]*?\\\]/g, "…")
    .replace(/\\\(([^]*?)\\\)/g, (_, formula) => /frac|sum|int|sqrt|hat|tilde/.test(formula) ? "…"
      : formula.replace(/\\(math\w+|boldsymbol|text|operatorname|big|left|right|[,;! ])/g, "")
        .replace(/([a-zA-Z0-9])\\/g, "$1 \\")
        .replace(/\\(\||[a-zA-Z]+)/g, (_, name) => PLAIN[name] || name)
        .replace(/[\\{}]/g, ""));
});
