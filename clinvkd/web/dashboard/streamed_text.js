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
    if (this.#pieces.length === 0) requestAnimationFrame(() => this.#draw());
    this.#pieces.push(piece);
  }

  #draw() {
    const text = this.#pieces.join("");
    this.#pieces = [];
    this.#text.appendData(text);
    if (this.#text.length > MOST) {
      this.#text.deleteData(0, this.#text.length - MOST);
    }
  }
}
