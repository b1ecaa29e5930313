import { useState } from "preact/hooks";
import { type Problem, signIn, type Who } from "../api";
import { told } from "../hooks";
import { ProblemBox } from "../parts/problem";

/** Sign in with a token. It is sent once and kept by nobody here: what stays is a cookie that no script can read. */
export function SignIn({ signed, ended }: { signed: (who: Who) => void; ended: boolean }) {
  const [problem, set] = useState<Problem>();
  const [busy, work] = useState(false);
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
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="off" autofocus required spellcheck={false} aria-describedby="which" />
        <button type="submit" class="main" disabled={busy}>
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
