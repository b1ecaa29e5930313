import { useEffect, useState } from "preact/hooks";
import { issuers, type Problem, signIn, signInAt, type Who } from "../api";
import { leave, refused } from "../back";
import { told } from "../hooks";
import { ProblemBox } from "../parts/problem";
import { Shown } from "../text";

/** Sign in with a token, or at an issuer where the server knows one. A token is sent once and kept by nobody here: what stays is a cookie that no script can read. */
export function SignIn({ signed, ended }: { signed: (who: Who) => void; ended: boolean }) {
  const [problem, set] = useState<Problem>();
  const [busy, work] = useState(false);
  const [elsewhere, know] = useState<string[]>([]);
  const [why] = useState(refused);
  useEffect(() => {
    issuers().then(know, () => know([])); // a token signs in without
  }, []);
  const go = (issuer: number): void => {
    work(true);
    leave();
    signInAt(issuer).then(
      (to) => location.assign(to),
      (error) => {
        set(told(error));
        work(false);
      },
    );
  };
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const token = String(new FormData(form).get("token") ?? "").trim();
    work(true);
    signIn(token)
      .then(signed, (error) => set(told(error)))
      .finally(() => {
        form.reset();
        work(false);
      });
  };
  return (
    <main class="signin">
      <form onSubmit={submitted}>
        <h1>
          <span class="mark" aria-hidden="true" />
          Agent Ledger
        </h1>
        <p class="dim">{ended ? "Your session has ended. Sign in to go on where you were." : "What agents did, for whom, and how that is proved."}</p>
        {why && (
          <p class="problem" role="alert">
            {why}
          </p>
        )}
        {elsewhere.map((label, issuer) => (
          <button type="button" class="main" key={label} disabled={busy} onClick={() => go(issuer)}>
            Sign in with <Shown text={label} />
          </button>
        ))}
        {elsewhere.length > 0 && <p class="or dim small">or</p>}
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="off" autofocus required spellcheck={false} aria-describedby="which" />
        <button type="submit" class={elsewhere.length > 0 ? "" : "main"} disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        {problem && <ProblemBox problem={problem} />}
        <p id="which" class="dim small">
          One of the role <code>reader</code>, <code>content-reader</code>, <code>auditor</code> or <code>admin</code>. On the ledger's machine:
        </p>
        <pre>agent-ledger token create {"<name>"} --role content-reader</pre>
        {!isSecureContext && (
          <p class="warn small" role="note">
            This address is neither TLS nor this machine: browsers do not tell here which page asks, so the ledger signs nobody in.
          </p>
        )}
      </form>
    </main>
  );
}
