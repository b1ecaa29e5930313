// Where somebody was who goes to an issuer's page to sign in. The address' fragment is sent to nobody, so it waits here, in this tab alone.

const KEPT = "agent-ledger-back";
const REFUSED = /^#\/sign-in\/([a-z-]{1,20})$/;

export function leave(): void {
  if (REFUSED.test(location.hash)) return; // the second try: where they were waits already
  try {
    sessionStorage.setItem(KEPT, location.hash);
  } catch {
    // a browser that keeps nothing: then it begins with the search
  }
}

/** Go on there; what the server said when nobody was signed in is no place. */
export function comeBack(): void {
  let kept = "";
  try {
    kept = sessionStorage.getItem(KEPT) ?? "";
    sessionStorage.removeItem(KEPT);
  } catch {
    // likewise
  }
  const known = /^#\/(?!sign-in\/)/.test(kept);
  if (REFUSED.test(location.hash) || (location.hash === "" && known)) location.replace(known ? kept : "#/search");
}

const WORDS: Readonly<Record<string, string>> = {
  cancelled: "The issuer signed nobody in.",
  expired: "That sign-in was begun elsewhere, took too long, or was finished before. Begin again here; if it happens again, open the console at the address that its operator gave to the issuer.",
  "not-granted": "The issuer knows you, this log does not: no grant fits what the issuer says of you, or its keys are not known here yet. An administrator grants it: agent-ledger token admit.",
  failed: "The issuer's answer does not hold. The server's log says why.",
  busy: "Too many people sign in at this moment. Try again.",
};

/** Why the server signed nobody in, as its address says. */
export function refused(): string | undefined {
  const found = REFUSED.exec(location.hash);
  return found ? (Object.hasOwn(WORDS, found[1]!) ? WORDS[found[1]!] : WORDS.failed) : undefined;
}
