/** One empty place for each filter that keeps something during an exchange. */
export function filterSlots(count: number): unknown[] {
  if (count === 0) return noSlots;
  const slots: unknown[] = [];
  for (let i = 0; i < count; i++) slots.push(undefined);
  return slots;
}

const noSlots: unknown[] = Object.freeze([]) as unknown as unknown[];
