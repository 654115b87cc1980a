// What the page asks of the API. The token is kept for as long as the tab is open, and sent in a header only.

const KEY = "lockstep-token";
const PATIENCE_MS = 15_000;

export class Refused extends Error {}

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export async function ask(path) {
  const answer = await fetch(path, {
    headers: { Authorization: `Bearer ${token.get()}` },
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (answer.status === 401) throw new Refused();
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `the API answered ${answer.status}`);
  return body;
}
