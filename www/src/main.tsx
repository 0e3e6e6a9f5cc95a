import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { start } from "./start";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/conversation.css";
import "./styles/run.css";
import "./styles/steps.css";
import "./styles/prose.css";
import { App } from "./ui/App";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App first={start()} />
  </StrictMode>,
);
