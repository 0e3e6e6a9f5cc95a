/** A UUID of version 7 (RFC 9562, section 5.7): sorts by time. */
export function newMessageId() {
  const hex = (number, digits) => number.toString(16).padStart(digits, "0");
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  const random = Array.from(bytes, (byte) => hex(byte, 2)).join("");
  // The version, and the variant; 72 bits of chance are left.
  const all = `${hex(Date.now(), 12)}7${random.slice(0, 3)}8${random.slice(3)}`;
  return all.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
