import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, LanguageSupport, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec, StateEffect, StateField, type Transaction } from "@codemirror/state";
import { Decoration, type DecorationSet, drawSelection, EditorView, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "preact/hooks";
import { completions, DUCK } from "../duck";
import type { Table } from "../schema";
import { escaped, UNSEEN } from "../text";

const THEME = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", fontSize: "0.8125rem" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5" },
  ".cm-content": { padding: "0.5rem 0", caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--soft)", border: "none", paddingLeft: "0.3rem" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--accent-soft)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-soft)" },
  ".cm-specialChar": { color: "var(--warn)", backgroundColor: "var(--warn-soft)", borderRadius: "3px" },
  ".cm-wrong": { textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px", backgroundColor: "var(--bad-soft)" },
  ".cm-tooltip": { color: "var(--ink)", backgroundColor: "var(--raised)", border: "1px solid var(--line)", borderRadius: "6px", boxShadow: "var(--shadow)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "15rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "0.1rem 0.5rem" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { color: "var(--ink)", backgroundColor: "var(--accent-soft)" },
  ".cm-completionDetail": { color: "var(--soft)", fontStyle: "normal" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-tooltip.cm-completionInfo": { fontFamily: "var(--sans)", padding: "0.5rem 0.7rem", maxWidth: "22rem" },
  ".cm-completionIcon": { display: "none" },
});
const COLOURS = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warn)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--soft)", fontStyle: "italic" },
  { tag: tags.special(tags.name), color: "var(--bad)" },
  { tag: tags.typeName, color: "var(--accent)" },
]);
const WRONG = Decoration.mark({ class: "cm-wrong", attributes: { "aria-invalid": "true" } });

const mark = StateEffect.define<{ from: number; to: number } | null>();
const marked = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, change) {
    for (const effect of change.effects) {
      if (effect.is(mark)) return effect.value ? Decoration.set([WRONG.range(effect.value.from, effect.value.to)]) : Decoration.none;
    }
    return change.docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function unseen(code: number): HTMLElement {
  const shown = document.createElement("span");
  shown.className = "cm-specialChar";
  shown.textContent = escaped(String.fromCodePoint(code));
  return shown;
}

export interface EditorProps {
  text: string;
  turn: number; // a new one where the text comes from elsewhere than from what is typed here
  changed: (text: string) => void;
  run: () => void;
  tables: readonly Table[];
  wrong: { from: number; to: number } | undefined;
  reach: (view: EditorView) => void;
}

/** The text of a statement. It lives in a shadow tree: there its styles are sheets made by script, which need no exception in the page's policy. */
export function Editor({ text, turn, changed, run, tables, wrong, reach }: EditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | undefined>(undefined);
  const now = useRef({ changed, run, tables });
  now.current = { changed, run, tables };
  useEffect(() => {
    const root = place.current!.shadowRoot ?? place.current!.attachShadow({ mode: "open" });
    const made = new EditorView({ parent: root, root, state: EditorState.create({ doc: text, extensions: extensions(now) }) });
    view.current = made;
    reach(made);
    return () => made.destroy();
  }, []);
  useEffect(() => {
    const shown = view.current!;
    if (shown.state.doc.toString() !== text) shown.dispatch({ changes: { from: 0, to: shown.state.doc.length, insert: text } });
  }, [turn]);
  useEffect(() => {
    const long = view.current!.state.doc.length;
    view.current!.dispatch({ effects: mark.of(wrong && wrong.to <= long && wrong.from < wrong.to ? wrong : null) });
  }, [wrong?.from, wrong?.to]);
  return <div class="editor" ref={place} />;
}

/** What is typed over a selection. Left to it, Chromium would keep the look of what goes by a style attribute, which the page's policy blocks and tells of. */
function typedOver(event: InputEvent, view: EditorView): boolean {
  const { from, to, empty } = view.state.selection.main;
  const text = event.data;
  if (event.inputType !== "insertText" || text === null || empty || view.composing) return false;
  const insert = (): Transaction => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
  if (!view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, text, insert))) view.dispatch(insert());
  event.preventDefault();
  return true;
}

interface Now {
  changed: (text: string) => void;
  run: () => void;
  tables: readonly Table[];
}

const extensions = (now: { current: Now }) => [
  Prec.highest(keymap.of([{ key: "Mod-Enter", run: () => (now.current.run(), true) }])),
  lineNumbers(),
  highlightSpecialChars({ addSpecialChars: UNSEEN, render: unseen }),
  history(),
  drawSelection(),
  bracketMatching(),
  closeBrackets(),
  new LanguageSupport(DUCK.language),
  syntaxHighlighting(COLOURS),
  autocompletion({ override: [completions(() => now.current.tables)], interactionDelay: 0 }),
  keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]), // no Tab: it leads on, as everywhere
  marked,
  THEME,
  EditorView.lineWrapping,
  EditorView.contentAttributes.of({ "aria-label": "SQL", spellcheck: "false", autocapitalize: "off", autocorrect: "off" }),
  EditorView.domEventHandlers({ beforeinput: typedOver }),
  EditorView.updateListener.of((update) => {
    if (update.docChanged) now.current.changed(update.state.doc.toString());
  }),
];
