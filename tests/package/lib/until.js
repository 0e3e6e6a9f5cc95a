/** Waits until `is()` is true, or brings that, for as long as anything here may take; then fails with what `what` says. */
export async function until(is, what, patienceMs = 30_000) {
  const deadline = Date.now() + patienceMs;
  while (!(await is())) {
    if (Date.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
