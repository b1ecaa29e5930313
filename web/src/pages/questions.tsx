import { useEffect, useState } from "preact/hooks";
import type { Value } from "../api";
import { useAsking } from "../asking";
import { placeOf } from "../askplace";
import { pictureIn } from "../chart";
import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { type Given, HINTS, type Kind, valueOf } from "../parameters";
import { AskNav } from "../parts/asknav";
import { ProblemBox } from "../parts/problem";
import { Outcome } from "../parts/result";
import { type Named, type Parameter, questionsFor } from "../schema";
import { count, plain, Shown } from "../text";
import { parseInstant } from "../view";

/** The questions that have a name, by group. */
export function Questions({ who }: PageProps) {
  const catalog = useLoaded("questions", () => questionsFor(who));
  const [sought, seek] = useState("");
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (each: Named): boolean => words.every((word) => `${each.name} ${each.title} ${each.answers} ${each.standard}`.toLowerCase().includes(word));
  const found = (catalog.value?.queries ?? []).filter(fits);
  return (
    <main class="page asks">
      <AskNav here="#/questions" />
      <input class="seek" type="search" aria-label="Find a question" placeholder="Find a question, a standard, a word" value={sought} spellcheck={false} onInput={(event) => seek(event.currentTarget.value)} />
      {catalog.problem && <ProblemBox problem={catalog.problem} again={catalog.again} />}
      {catalog.value && <p class="dim small" role="status">{count(found.length)} questions</p>}
      {Object.entries(catalog.value?.groups ?? {}).map(([group, title]) => {
        const within = found.filter((each) => each.group === group);
        return (
          within.length > 0 && (
            <section class="group" key={group}>
              <h2>{title}</h2>
              <ul>
                {within.map((each) => (
                  <li key={each.name}>
                    <a href={`#/question/${encodeURIComponent(each.name)}`}>
                      <Shown text={each.title} />
                    </a>
                    <span class="dim small">
                      <code>{plain(each.name)}</code> {each.standard && <Shown text={each.standard} />}
                    </span>
                  </li>
                ))}
              </ul>
            </section>
          )
        );
      })}
      {catalog.value && found.length === 0 && <p class="nothing dim">No question has these words. A statement of your own may ask it: SQL, above.</p>}
    </main>
  );
}

/** One of them: a form made of its header, and its answer. */
export function Question({ at: [name = ""], query, who }: PageProps) {
  const catalog = useLoaded("questions", () => questionsFor(who));
  const question = catalog.value?.queries.find((each) => each.name === name);
  return (
    <main class="page asks">
      <AskNav here="#/questions" />
      {catalog.problem && <ProblemBox problem={catalog.problem} again={catalog.again} />}
      {catalog.value && !question && <p class="nothing dim">There is no question of this name here. It may be of another ledger, whose operator added it.</p>}
      {question && <Form key={name} question={question} query={query} who={who} />}
    </main>
  );
}

type Typed = Record<string, string>;

function Form({ question, query, who }: { question: Named; query: URLSearchParams; who: PageProps["who"] }) {
  const { name, parameters } = question;
  const told: Typed = Object.fromEntries(parameters.map((each) => [each.name, query.get(`p.${each.name}`) ?? ""]));
  const place = placeOfQuestion(name, told, query.has("ask"));
  const [typed, type] = useState<Typed>(told);
  const { state, run, cancel } = useAsking(who, place);
  const givenOf = (each: Parameter): Given => ({ kind: each.type satisfies Kind, text: typed[each.name] ?? "" });
  const wrong = parameters.filter((each) => (typed[each.name] ?? "") === "" ? each.required : valueOf(givenOf(each)) === undefined);
  const asked = (): void => {
    if (wrong.length > 0) return;
    const given = parameters.filter((each) => typed[each.name]);
    const values: Record<string, Value> = Object.fromEntries(given.map((each) => [each.name, valueOf(givenOf(each))!]));
    const at = placeOfQuestion(name, typed, true);
    run({ name, sql: question.sql, parameters: values }, at);
    location.hash = at === place ? `${at}${pictureIn(query)}` : at;
  };
  useEffect(() => type(told), [place]);
  useEffect(() => {
    if (query.has("ask") && state.at === "idle") asked(); // the ledger's own question, as a search is: a link to it may ask it
  }, []);
  return (
    <>
      <h1>
        <Shown text={question.title} />
      </h1>
      <p class="lead">
        <Shown text={question.answers} /> {question.standard && <span class="pill">{plain(question.standard)}</span>}
      </p>
      <form
        class="card header-form"
        onSubmit={(event) => {
          event.preventDefault();
          asked();
        }}
      >
        {parameters.length === 0 && <p class="dim">It takes no parameters.</p>}
        {parameters.map((each) => (
          <Field key={each.name} parameter={each} text={typed[each.name] ?? ""} wrong={typed[each.name] !== "" && wrong.includes(each)} changed={(text) => type({ ...typed, [each.name]: text })} />
        ))}
        <div class="doing">
          <button type="submit" class="main" disabled={wrong.length > 0 || state.at === "running"}>
            Ask
          </button>
          <a href={placeOf({ sql: question.sql, given: Object.fromEntries(parameters.map((each) => [each.name, asGiven(each, typed[each.name] ?? "")])), asOf: "" })}>Open as SQL</a>
          {wrong.length > 0 && <span class="dim">give {wrong.map((each) => each.name).join(", ")}</span>}
        </div>
      </form>
      {state.at === "answered" && placeOfQuestion(name, typed, true) !== place && <p class="warn said">The fields were changed since: this is the answer as it was asked.</p>}
      <Outcome state={state} query={query} who={who} cancel={cancel} again={asked} />
      {state.at !== "answered" && <Columns question={question} />}
    </>
  );
}

function Field({ parameter, text, wrong, changed }: { parameter: Parameter; text: string; wrong: boolean; changed: (text: string) => void }) {
  const { name, type, required, about } = parameter;
  const id = `p-${name}`;
  return (
    <div class="field">
      <label for={id}>
        {name.replaceAll("_", " ")} {required && <span class="bad">required</span>}
      </label>
      {type === "boolean" ? (
        <select id={id} value={text} aria-describedby={`${id}-about`} onChange={(event) => changed(event.currentTarget.value)}>
          <option value="">{parameter.default === true ? "yes, if nothing is said" : "no, if nothing is said"}</option>
          <option value="true">yes</option>
          <option value="false">no</option>
        </select>
      ) : (
        <input
          id={id}
          value={text}
          required={required}
          inputMode={type === "integer" ? "numeric" : "text"}
          placeholder={hint(parameter)}
          aria-describedby={`${id}-about`}
          aria-invalid={wrong}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => changed(event.currentTarget.value)}
        />
      )}
      <p id={`${id}-about`} class="dim small">
        <Shown text={about} />
      </p>
    </div>
  );
}

/** What holds where nothing is typed. */
function hint({ type, required, default: usual }: Parameter): string {
  if (required) return HINTS[type];
  if (usual === null) return "any";
  if (type !== "timestamp") return plain(String(usual));
  const year = String(usual).slice(0, 4);
  return year === "1970" ? "the beginning" : year === "9999" ? "now" : plain(String(usual));
}

function Columns({ question: { columns } }: { question: Named }) {
  return (
    <section class="gives" aria-label="What it gives">
      <h2>Its columns</h2>
      <dl>
        {columns.map(({ name, about }) => [
          <dt key={name}>
            <code>{plain(name)}</code>
          </dt>,
          <dd key={`${name} about`} class="dim">
            <Shown text={about} />
          </dd>,
        ])}
      </dl>
    </section>
  );
}

/** A parameter of a named question in a statement of its own: there times are texts, which it casts. */
function asGiven({ type, default: usual }: Parameter, text: string): Given {
  const said = text || (usual === null ? "" : String(usual));
  if (said === "" && type !== "text") return { kind: "null", text: "" };
  if (said === "" && usual === null) return { kind: text === "" ? "null" : "text", text };
  return type === "timestamp" ? { kind: "text", text: parseInstant(said) ?? said } : { kind: type, text: said };
}

function placeOfQuestion(name: string, typed: Typed, asked: boolean): string {
  const said = new URLSearchParams();
  for (const [key, text] of Object.entries(typed)) if (text !== "") said.set(`p.${key}`, text);
  if (asked) said.set("ask", "1");
  const query = said.toString();
  return `#/question/${encodeURIComponent(name)}${query && `?${query}`}`;
}
