// Text that grows: it is put on the page at most once per frame, however many pieces come.

const MOST = 200_000; // characters; of a longer text the end is shown

export class StreamedText {
  #pieces = [];
  #text = document.createTextNode("");

  constructor() {
    this.node = document.createElement("p");
    this.node.className = "prose";
    this.node.append(this.#text);
  }

  add(piece) {
    if (this.#pieces.length === 0) requestAnimationFrame(() => this.flush());
    this.#pieces.push(piece);
  }

  // Puts all that came on the page now: what says "completed" stands beside the whole text, also
  // in a tab in the background, which draws no frames.
  flush() {
    if (this.#pieces.length === 0) return;
    const text = this.#pieces.join("");
    this.#pieces = [];
    this.#text.appendData(text);
    if (this.#text.length > MOST) {
      this.#text.deleteData(0, this.#text.length - MOST);
    }
  }
}
