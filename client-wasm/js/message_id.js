/** A UUID of version 7 (RFC 9562, section 5.7): sorts by time. */
export function newMessageId() {
  const hex = (number, digits) => number.toString(16).padStart(digits, "0");
  const random = (count) =>
    Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => hex(byte, 2)).join("");
  const time = hex(Date.now(), 12);
  // 7 is the version, and 80 has the variant; 68 bits of chance are left.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random(2).slice(1)}-80${random(1)}-${random(6)}`;
}
