// Tells those who listen to the page what they cannot see; rarely, and one thing at a time.

const PAUSE = 1000; // milliseconds in which what is said last counts

let waiting = null;

export function announce(text) {
  if (waiting !== null) clearTimeout(waiting);
  waiting = setTimeout(() => {
    waiting = null;
    document.getElementById("announcer").textContent = text;
  }, PAUSE);
}
