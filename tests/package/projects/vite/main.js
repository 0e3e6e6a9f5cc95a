import { connect } from "@rethread/client";

const { url, token, thread } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
window.received = [];
const client = await connect({ url, token: async () => token });
for await (const event of client.thread(thread).events()) window.received.push(event);
