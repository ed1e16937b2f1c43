// Values with bytes in them as JSON: {"$bin": base64}, to Node.js with
// {"as": "Buffer" | "Uint8Array" | "ArrayBuffer"} beside that.

export function pack(value) {
  if (value === undefined) return null;
  if (Buffer.isBuffer(value)) return { $bin: value.toString("base64") };
  if (value instanceof ArrayBuffer) return pack(Buffer.from(value));
  if (ArrayBuffer.isView(value)) {
    return pack(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  }
  if (Array.isArray(value)) return value.map(pack);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, pack(v)]));
  }
  return value;
}

function unpackBinary(base64, kind = "Buffer") {
  const buffer = Buffer.from(base64, "base64");
  if (kind === "Buffer") return buffer;
  if (kind === "Uint8Array") return new Uint8Array(buffer);
  if (kind === "ArrayBuffer") return new Uint8Array(buffer).buffer;
  throw new Error(`no such kind of binary: ${kind}`);
}

export function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value !== null && typeof value === "object") {
    if (typeof value.$bin === "string") return unpackBinary(value.$bin, value.as);
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
  }
  return value;
}
