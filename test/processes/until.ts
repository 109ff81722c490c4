/** Waits for a condition by asking again every few milliseconds; rejects with what was seen last. */
export async function until<T>(what: string, read: () => Promise<T> | T, accept: (value: T) => boolean, deadlineMs = 30_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await read();
    if (accept(value)) return value;
    if (performance.now() > end) throw new Error(`${what}: not so within ${deadlineMs} ms; last seen: ${JSON.stringify(value)?.slice(0, 1500)}`);
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
}
