// The tool of the programs that have one, and what their cases report; see programs/tools.py.

export const description = "Tells the weather of a city.";
export const parameters = {
  type: "object",
  properties: { city: { type: "string", description: "Its English name." } },
  required: ["city"],
  additionalProperties: false,
};

/** What a case saw. */
export class Told {
  called = [];
  said = [];
  identities = [];

  /** Run the tool; throws for Atlantis. */
  weather = ({ city }) => {
    this.called.push(city);
    if (city === "Atlantis") throw new Error(`no such city: ${city}`);
    return `3 degrees in ${city}`;
  };

  /** The same for clients whose errors are texts like any other. */
  weatherOrError = (given) => {
    try {
      return this.weather(given);
    } catch (error) {
      return String(error);
    }
  };

  /** The result of the case. */
  report() {
    const said = this.said.map((text) => text.trim()).filter(Boolean);
    return { called: this.called, said, identities: this.identities };
  }
}
