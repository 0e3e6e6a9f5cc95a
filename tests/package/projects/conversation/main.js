import { connect } from "@rethread/client";

import { show } from "./show.js";

const { url, token, thread } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
show(await connect({ url, token }), thread);
