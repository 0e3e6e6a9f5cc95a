// An application mints a token for whoever is logged in; this one takes the development server's.
export async function GET() {
  const answer = await fetch(`${process.env.RETHREAD_URL}/v1/dev/token`, { cache: "no-store" });
  return new Response((await answer.json()).token);
}
