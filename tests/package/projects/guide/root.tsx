import { createRoot } from "react-dom/client";

import { App } from "./chat.js";

export const mount = (thread: string, element: HTMLElement): void =>
  createRoot(element).render(<App thread={thread} />);
