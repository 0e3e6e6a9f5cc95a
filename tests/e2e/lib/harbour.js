/** A folder of documents for the example agent, small enough to know what it must find. */
export const HARBOUR = {
  "harbour.md": `# The harbour

The harbour of Lumen has a lighthouse that is forty metres tall. The lighthouse keeper lights the lamp at
dusk. The lamp burns with whale oil until the morning bell rings.

## Tides

The tide in the harbour rises by six metres. Ships with a deep keel must wait for the high tide before
they may enter. The harbour master writes each tide into a book.

## Fog

When fog lies over the harbour the lighthouse keeper sounds the horn every two minutes. Ships answer with
their bells, so that no ship comes too near to another one.
`,
  "market.md": `# The market

The market of Lumen opens when the morning bell rings. Fishermen sell herring and cod. The price of a
barrel of herring is written on a board beside the fountain.
`,
};
