import * as saved from "../saved";
import { CloseIcon } from "./icons";

/** Stands for a conversation that cannot be shown. */
export function Unavailable({ reason, onCreate }: { reason: string; onCreate: () => void }) {
  return (
    <div className="unavailable" role="alert">
      <h2>This conversation cannot be shown</h2>
      <p>{reason}</p>
      <button type="button" className="button primary" onClick={onCreate}>
        New conversation
      </button>
    </div>
  );
}

/** Something that the reader should know, until put away. */
export function Notice({ text, onPutAway }: { text: string; onPutAway: () => void }) {
  return (
    <div className="banner" role="status">
      <p>{text}</p>
      <button type="button" className="button icon-only" aria-label="Put away" onClick={onPutAway}>
        <CloseIcon />
      </button>
    </div>
  );
}

/** Says that the connection is over for good, and what to do. */
export function Over({ reason }: { reason: string }) {
  return (
    <p className="banner bad" role="alert">
      <span>Access ended: {reason}. What is shown here stays, nothing new will come.</span>
      <button
        type="button"
        className="button"
        onClick={() => {
          // Who this is, is found out anew.
          saved.keepUser(undefined);
          location.reload();
        }}
      >
        Connect again
      </button>
    </p>
  );
}
