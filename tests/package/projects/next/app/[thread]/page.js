import { Conversation } from "./conversation.js";

// Rendered for each request: the server's address is known when it runs, not when it is built.
export const dynamic = "force-dynamic";

export default async function Page({ params }) {
  const { thread } = await params;
  return <Conversation url={process.env.RETHREAD_URL} thread={thread} />;
}
