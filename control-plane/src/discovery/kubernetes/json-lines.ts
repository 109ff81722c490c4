/** Lines of a stream, those of one chunk together. Throws RangeError for one that is longer than `bytesMax`. What has no end of line at the end is given up. */
export async function* linesOf(chunks: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<readonly string[]> {
  let parts: Buffer[] = [];
  let waiting = 0;
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(0x0a);
    if (end < 0) {
      waiting += chunk.length;
      if (waiting > bytesMax) throw new RangeError(`an event has more than ${bytesMax} bytes`);
      parts.push(chunk);
      continue;
    }
    const text = Buffer.concat([...parts, chunk.subarray(0, end)]).toString('utf8');
    parts = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
    waiting = chunk.length - end - 1;
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    if (lines.length > 0) yield lines;
  }
}
