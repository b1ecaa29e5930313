import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Log, log, signOut, type Who } from "../api";
import { told } from "../hooks";
import { PAGES, pageAt } from "../pages";
import { recall } from "../proof/memory";
import { useMemory, useUnchecked, watched } from "./alarm";
import { count, Shown } from "../text";
import type { Place } from "../view";

const EVERY_MS = 5_000;
const THEMES = ["auto", "light", "dark"] as const;
const KEPT = "agent-ledger-theme";

/** On every page: which log, how long, and whether what is outside of it agrees. */
export function Header({ who, place }: { who: Who; place: Place }) {
  const [state, set] = useState<{ log?: Log; away?: string }>({});
  useEffect(() => {
    const look = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const before = recall(who.origin); // before it is asked: what comes late is no rollback
        const shown = await log();
        set({ log: shown });
        void watched(who.origin, shown, before);
      } catch (error) {
        set((before) => ({ ...before, away: told(error).message }));
      }
    };
    void look();
    const timer = setInterval(look, EVERY_MS);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
  const ended = (): void => location.reload();
  return (
    <header class="top">
      <a class="brand" href="#/search">
        <span class="mark" aria-hidden="true" />
        Agent Ledger
      </a>
      <span class="origin">
        <Shown text={who.origin} />
      </span>
      <Pages who={who} place={place} />
      <State {...state} who={who} />
      <nav aria-label="Yours">
        <ThemeSwitch />
        <span class="who" title={`May: ${who.permits.join(", ")}`}>
          <Shown text={who.name} /> <small>{who.roles.join(", ")}</small>
        </span>
        <button type="button" class="quiet" onClick={() => signOut().then(ended, ended)}>
          Sign out
        </button>
      </nav>
    </header>
  );
}

function Pages({ who, place }: { who: Who; place: Place }) {
  const here = place.page === "other" ? pageAt(place.path)?.page : undefined;
  const shown = PAGES.filter((each) => who.permits.includes(each.needs));
  return (
    <nav class="pages" aria-label="Pages">
      <a href="#/search" aria-current={place.page === "search" ? "page" : undefined}>
        Search
      </a>
      {shown.map(
        (each) =>
          each.nav && (
            <a key={each.nav} href={each.nav} aria-current={each === here || here?.under === each.nav ? "page" : undefined}>
              {each.title}
            </a>
          ),
      )}
    </nav>
  );
}

function State({ log, away, who }: { log?: Log; away?: string; who: Who }) {
  const [open, set] = useState(false);
  const alarm = useMemory(who.origin)?.alarm;
  const unchecked = useUnchecked();
  const size = log?.anchored_to.size ?? null;
  const behind = !log || size === null ? "no anchor" : size < log.size ? `anchored up to ${count(size)}` : "anchored";
  return (
    <>
      <button type="button" class={`state ${away ? "bad" : ""}`} onClick={() => set(true)} disabled={!log} aria-haspopup="dialog" title="How far the log is anchored and verified">
        <span role="status">
          {away ? (
            <>
              <i /> no answer{log && ` · ${count(log.size)} entries when last seen`}
            </>
          ) : (
            log && (
              <>
                <i class={alarm ? "" : unchecked || size === null ? "warn" : "good"} /> <b>{count(log.size)}</b> entries <small>{unchecked ? "could not be checked" : behind}</small>
              </>
            )
          )}
        </span>
      </button>
      {open && log && <Opened log={log} who={who} closed={() => set(false)} />}
    </>
  );
}

/** What stands behind it comes when it is asked for. */
function Opened(given: { log: Log; who: Who; closed: () => void }) {
  const [loaded, set] = useState<{ Shown: ComponentType<typeof given> }>();
  useEffect(() => {
    import("./integrity").then(({ Integrity }) => set({ Shown: Integrity }), given.closed);
  }, []);
  return loaded ? <loaded.Shown {...given} /> : null;
}

function ThemeSwitch() {
  const [theme, set] = useState(kept());
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEPT, theme);
    } catch {
      // a browser that keeps nothing: then it holds for this page
    }
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  return (
    <button type="button" class="quiet theme" onClick={() => set(next)} aria-label={`Colours: ${theme}. Change to ${next}`}>
      {theme === "auto" ? "Auto" : theme === "light" ? "Light" : "Dark"}
    </button>
  );
}

function kept(): (typeof THEMES)[number] {
  try {
    return THEMES.find((each) => each === localStorage.getItem(KEPT)) ?? "auto";
  } catch {
    return "auto";
  }
}
