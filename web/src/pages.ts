// The pages beside the search and the record. Each is a chunk of its own, loaded when it is first opened.

import type { ComponentType } from "preact";
import type { Who } from "./api";

/** What a page is given: the part of its address that its pattern caught, what stands there behind `?`, and who is signed in. */
export interface PageProps {
  at: string[];
  query: URLSearchParams;
  who: Who;
}

interface Page {
  path: RegExp;
  title: string;
  nav?: string; // its address in the bar of pages; without one it is reached from others
  under?: string; // the address in the bar of the page that it belongs to
  needs: string; // the permission without which there is nothing to see
  load: () => Promise<ComponentType<PageProps>>;
}

export const PAGES: readonly Page[] = [
  { path: /^\/sessions$/, title: "Sessions", nav: "#/sessions", needs: "query", load: () => import("./pages/sessions").then((m) => m.Sessions) },
  { path: /^\/session\/([^/]+)$/, title: "Session", under: "#/sessions", needs: "query", load: () => import("./pages/session").then((m) => m.Session) },
  { path: /^\/flows\/(0|[1-9]\d{0,15})$/, title: "Flows", under: "#/sessions", needs: "query", load: () => import("./pages/flows").then((m) => m.RecordFlows) },
  { path: /^\/delegation\/(0|[1-9]\d{0,15})$/, title: "Delegation", under: "#/sessions", needs: "query", load: () => import("./pages/delegation").then((m) => m.RecordDelegation) },
  { path: /^\/ask$/, title: "Ask", nav: "#/ask", needs: "query", load: () => import("./pages/ask").then((m) => m.Ask) },
  { path: /^\/questions$/, title: "Questions", under: "#/ask", needs: "query", load: () => import("./pages/questions").then((m) => m.Questions) },
  { path: /^\/question\/([^/]+)$/, title: "Question", under: "#/ask", needs: "query", load: () => import("./pages/questions").then((m) => m.Question) },
  { path: /^\/blast$/, title: "Blast radius", under: "#/ask", needs: "query", load: () => import("./pages/blast").then((m) => m.Blast) },
  { path: /^\/prove(?:\/(0|[1-9]\d{0,15}))?$/, title: "Prove", nav: "#/prove", needs: "read", load: () => import("./pages/prove").then((m) => m.Prove) },
  { path: /^\/work$/, title: "Work", nav: "#/work", needs: "read", load: () => import("./pages/work").then((m) => m.Work) },
  { path: /^\/live$/, title: "Live", under: "#/work", needs: "read", load: () => import("./pages/live").then((m) => m.Live) },
  { path: /^\/health$/, title: "Health of sources", under: "#/work", needs: "query", load: () => import("./pages/health").then((m) => m.Health) },
  { path: /^\/alerts$/, title: "Alerts", under: "#/work", needs: "read", load: () => import("./pages/alerts").then((m) => m.Alerts) },
  { path: /^\/cases(?:\/([^/]+))?$/, title: "Cases", under: "#/work", needs: "query", load: () => import("./pages/cases").then((m) => m.Cases) },
  { path: /^\/erasure$/, title: "Erasure", under: "#/work", needs: "upkeep", load: () => import("./pages/erasure").then((m) => m.Erasure) },
  { path: /^\/access$/, title: "Access", under: "#/work", needs: "access", load: () => import("./pages/access").then((m) => m.Access) },
];

export function pageAt(path: string): { page: Page; at: string[] } | undefined {
  for (const page of PAGES) {
    const found = page.path.exec(path);
    if (found) return { page, at: found.slice(1).map((part) => decoded(part ?? "")) };
  }
  return undefined;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
