/** The text of all answers in a view. */
export function textOf(runs) {
  const parts = runs.flatMap((run) => run.parts);
  return parts.filter(({ kind }) => kind === "answer").map(({ text }) => text).join("\n");
}
