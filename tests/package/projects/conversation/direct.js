import { connect } from "./node_modules/@rethread/client/index.js";

import { show } from "./show.js";

const { url, token, thread } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
show(await connect({ url, token }), thread);
