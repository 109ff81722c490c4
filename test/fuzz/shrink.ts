/** Takes away parts of the bytes for as long as `fails` still holds; at most some thousand tries. */
export function shrink(bytes: Uint8Array, fails: (bytes: Uint8Array) => boolean): Uint8Array {
  let best = Buffer.from(bytes);
  let tries = 0;
  for (let size = best.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < best.length && tries < triesMax;) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      tries++;
      if (shorter.length > 0 && fails(shorter)) best = shorter;
      else at += size;
    }
  }
  return best;
}

const triesMax = 3000;
