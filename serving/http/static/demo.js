"use strict";

const state = { history: [], compare: null, model: null, words: { one: "item", many: "items", taken: "chosen" } };
const byId = (id) => document.getElementById(id);
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Make an element with text, classes and other properties. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Ask the API and return its answer; an error has the server's own sentence. */
async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer");
  }
  const content = await response.json().catch(() => ({ error: `the server answers with status ${response.status}` }));
  if (!response.ok) throw new Error(content.error);
  return content;
}

/** Return a function whose call replaces those before it that have not been answered. */
function latest(work) {
  let last = 0;
  return async (...given) => {
    const mine = ++last;
    try {
      await work(() => mine === last, ...given);
    } catch (error) {
      if (mine === last) say(error.message, true);
    }
  };
}

function say(text, isError = false) {
  if (isError) byId("answers").setAttribute("aria-busy", "false");
  byId("state").textContent = text;
  byId("state").className = isError ? "error" : "muted";
}

/* The search: a combobox after the ARIA practices, its list below the field. */

let found = [];
let selected = -1;
let searching = Promise.resolve();

const search = latest(async (isLatest, text) => {
  const movies = text.trim() ? await ask(`/api/movies?query=${encodeURIComponent(text)}&limit=8`) : [];
  if (!isLatest()) return;
  found = movies;
  byId("found").replaceChildren(...movies.map((movie, place) => {
    const option = element("li", { id: `found-${place}`, role: "option", textContent: movie.title });
    option.setAttribute("aria-selected", "false");
    option.addEventListener("mousedown", (event) => { event.preventDefault(); take(place); });
    return option;
  }));
  byId("nothing-found").textContent = text.trim() && !movies.length ? `No title is like "${text.trim()}"` : "";
  byId("nothing-found").hidden = !byId("nothing-found").textContent;
  show(movies.length > 0);
});

function show(isOpen) {
  byId("found").hidden = !isOpen;
  byId("search").setAttribute("aria-expanded", String(isOpen));
  select(-1);
}

function select(place) {
  selected = place;
  [...byId("found").children].forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
  if (place < 0) {
    byId("search").removeAttribute("aria-activedescendant");
  } else {
    byId("search").setAttribute("aria-activedescendant", `found-${place}`);
    byId(`found-${place}`).scrollIntoView({ block: "nearest" });
  }
}

function take(place) {
  add(found[place]);
  byId("search").value = "";
  searching = search("");
}

function onKey(event) {
  const isOpen = !byId("found").hidden;
  if (event.key === "ArrowDown" && found.length) {
    if (!isOpen) show(true);
    select((selected + 1) % found.length);
  } else if (event.key === "ArrowUp" && isOpen) {
    select(selected <= 0 ? found.length - 1 : selected - 1);
  } else if (event.key === "Enter") {
    // Whoever types fast means what the whole text finds, not what its beginning did.
    searching.then(() => { if (found.length) take(Math.max(selected, 0)); });
  } else if (event.key === "Escape") {
    show(false);
  } else {
    return;
  }
  event.preventDefault();
}

/* The history. */

function add(movie) {
  state.history.push({ id: movie.id, title: movie.title });
  changed();
}

function changed() {
  const ids = new URLSearchParams(state.history.map((movie) => ["id", movie.id]));
  window.history.replaceState(null, "", ids.size ? `#${ids}` : window.location.pathname);
  showHistory(new Set());
  recommend();
}

function showHistory(unknown) {
  byId("history").replaceChildren(...state.history.map((movie, place) => {
    const remove = element("button", { type: "button", textContent: "Remove" });
    remove.setAttribute("aria-label", `Remove ${movie.title}`);
    remove.addEventListener("click", () => {
      state.history.splice(place, 1);
      changed();
      byId("search").focus();
    });
    const later = element("button", { type: "button", textContent: "↓", disabled: place === state.history.length - 1 });
    later.setAttribute("aria-label", `Move ${movie.title} one place later`);
    later.addEventListener("click", () => {
      state.history.splice(place, 2, state.history[place + 1], movie);
      changed();
      byId("history").children[place + 1].querySelector("button:enabled").focus();
    });
    const title = element("span", { textContent: movie.title });
    return element("li", { className: unknown.has(movie.id) ? "unknown" : "" }, title, later, remove);
  }));
  byId("history-empty").hidden = state.history.length > 0;
  byId("clear").hidden = state.history.length === 0;
}

/* The answers. */

function filters() {
  const year = (id) => Number.parseInt(byId(id).value, 10) || 0;
  const genres = [...byId("genres").querySelectorAll("input:checked")].map((box) => box.value);
  const [first, last] = [year("first-year"), year("last-year")];
  if (last && first > last) throw new Error(`the years ${first} to ${last} are none`);
  return { genres, first_year: first, last_year: last };
}

const recommend = latest(async (isLatest) => {
  byId("answers").setAttribute("aria-busy", "true");
  const question = {
    history: state.history.map((movie) => movie.id), k: 10, include_seen: byId("include-seen").checked, filters: filters(),
  };
  const [answer, other] = await Promise.all([
    ask("/api/recommend", question),
    state.compare === null ? null : ask("/api/recommend", { ...question, version: state.compare }),
  ]);
  if (!isLatest()) return;
  byId("answers").setAttribute("aria-busy", "false");
  showHistory(new Set(answer.unknown));
  const { many, taken } = state.words;
  const nothing = state.history.length ? `Nothing of the history is known to the model` : `Nothing ${taken} yet`;
  say(!answer.movies.length ? `No ${many} are left to recommend` : answer.popular ? `${nothing}: this is what is popular` : "");
  const ids = (movies) => new Set(movies.map((movie) => movie.id));
  byId("answers").className = other ? "columns" : "";
  byId("answers").replaceChildren(...(other
    ? [column(answer, ids(other.movies)), column(other, ids(answer.movies))]
    : [cards(answer.movies)]));
});

function column(answer, inOther) {
  const alone = answer.movies.filter((movie) => !inOther.has(movie.id)).length;
  const title = element("h3", { textContent: `Version ${answer.version}, ${alone} of ${answer.movies.length} not in the other` });
  return element("div", {}, title, cards(answer.movies, inOther));
}

function cards(movies, inOther = null) {
  return element("ol", { className: "cards" }, ...movies.map((movie) => card(movie, inOther)));
}

function card(movie, inOther = null) {
  const taken = element("button", { type: "button", textContent: capital(state.words.taken) });
  taken.setAttribute("aria-label", `${capital(state.words.taken)}: ${movie.title}`);
  taken.addEventListener("click", () => { add(movie); byId("answers-title").scrollIntoView({ block: "nearest" }); });
  const like = element("button", { type: "button", textContent: "Similar" });
  like.setAttribute("aria-label", `Similar to ${movie.title}`);
  like.addEventListener("click", () => showSimilar(movie));
  const about = [movie.genres.join(", "), `score ${movie.score.toFixed(3)}`].filter(Boolean).join(" · ");
  const isNew = inOther !== null && !inOther.has(movie.id);
  return element("li", { className: "card" },
    element("span", { className: "rank", textContent: movie.rank }),
    element("span", { className: "title", textContent: movie.title }),
    element("span", { className: "about" }, about, ...(isNew ? [" · ", element("span", { className: "new", textContent: "only here" })] : [])),
    element("span", { className: "buttons" }, taken, like));
}

const showSimilar = latest(async (isLatest, movie) => {
  const answer = await ask(`/api/similar?id=${encodeURIComponent(movie.id)}&k=12`);
  if (!isLatest()) return;
  byId("similar-title").textContent = `Like ${movie.title}`;
  byId("similar-list").replaceChildren(...answer.movies.map((like) => card(like)));
  byId("similar").hidden = false;
  byId("similar").focus();
  byId("similar").scrollIntoView({ block: "start" });
});

/* The beginning. */

/** Return what a version is called, with its labels. */
function named(version) {
  return `version ${version.version}${version.labels?.length ? ` (${version.labels.join(", ")})` : ""}`;
}

function describe(model) {
  state.model = model;
  state.words = model.words;
  const { one, many, taken } = model.words;
  const own = model.versions.find((version) => version.version === model.version);
  const facts = [
    `${capital(named(own ?? model))} of ${model.name}`,
    own?.published_at && `published ${own.published_at.slice(0, 16).replace("T", " ")} UTC`,
    own?.recall_at_10 != null && `recall@10 ${own.recall_at_10.toFixed(4)}`,
    `${model.num_movies.toLocaleString("en")} ${many}`,
  ];
  byId("model").textContent = facts.filter(Boolean).join(" · ");
  document.title = `What next? Recommended ${many}`;
  byId("history-title").textContent = capital(taken);
  byId("search-label").textContent = `Find a ${one} that was ${taken}`;
  byId("history-empty").textContent = `Add what was ${taken}, the oldest first: its order counts.`;
  byId("include-seen-text").textContent = `Offer ${many} of the history too`;
  byId("genres-box").hidden = model.genres.length === 0;
  byId("genres").replaceChildren(...model.genres.map((name) => {
    const box = element("input", { type: "checkbox", value: name });
    box.addEventListener("change", recommend);
    return element("label", {}, box, ` ${name}`);
  }));
  byId("first-year").placeholder = model.first_year ?? "";
  byId("last-year").placeholder = model.last_year ?? "";
  byId("compare").append(...model.versions.filter((version) => version.version !== model.version).reverse().map((version) => (
    element("option", { value: version.version, textContent: named(version) })
  )));
}

function listen() {
  byId("search").addEventListener("input", (event) => { searching = search(event.target.value); });
  byId("search").addEventListener("keydown", onKey);
  byId("search").addEventListener("blur", () => show(false));
  byId("clear").addEventListener("click", () => { state.history = []; changed(); byId("search").focus(); });
  for (const id of ["first-year", "last-year", "include-seen"]) byId(id).addEventListener("change", recommend);
  byId("compare").addEventListener("change", (event) => {
    state.compare = event.target.value === "" ? null : Number(event.target.value);
    recommend();
  });
  byId("close-similar").addEventListener("click", () => { byId("similar").hidden = true; byId("search").focus(); });
}

/** Take the history of the address, which a person may have kept or been sent. */
async function remember() {
  const ids = new URLSearchParams(window.location.hash.slice(1)).getAll("id");
  if (ids.length) state.history = await ask(`/api/movies?${new URLSearchParams(ids.map((id) => ["id", id]))}`);
}

listen();
ask("/api/model").then(describe).then(remember).then(changed).catch((error) => say(error.message, true));
