import { type Given, HINTS, KIND_NAMES, KINDS, type Kind, valueOf } from "../parameters";
import { plain } from "../text";

/** The `$name`s of a statement as fields with their types. */
export function Fields({ names, given, changed }: { names: string[]; given: (name: string) => Given; changed: (name: string, given: Given) => void }) {
  if (names.length === 0) return null;
  return (
    <fieldset class="fields">
      <legend>Parameters</legend>
      {names.map((name) => {
        const { kind, text } = given(name);
        const wrong = text !== "" && valueOf({ kind, text }) === undefined;
        return (
          <div class="field" key={name}>
            <label for={`p-${name}`}>
              <code>${name}</code>
            </label>
            <select aria-label={`Type of ${name}`} value={kind} onChange={(event) => changed(name, { kind: event.currentTarget.value as Kind, text })}>
              {KINDS.map((each) => (
                <option key={each} value={each}>
                  {KIND_NAMES[each]}
                </option>
              ))}
            </select>
            <input
              id={`p-${name}`}
              value={text}
              placeholder={HINTS[kind]}
              disabled={kind === "null"}
              spellcheck={false}
              autocomplete="off"
              aria-invalid={wrong}
              onInput={(event) => changed(name, { kind, text: event.currentTarget.value })}
            />
            {wrong && <span class="wrong">not {plain(KIND_NAMES[kind])}</span>}
          </div>
        );
      })}
    </fieldset>
  );
}
