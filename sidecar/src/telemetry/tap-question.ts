import type { TapAsk } from '../pipeline/request-taps.ts';

/** Reads what the control plane asks for. Throws one sentence. */
export function readTapAsk(text: string): TapAsk {
  const asked: unknown = JSON.parse(text);
  if (typeof asked !== 'object' || asked === null || !('id' in asked) || typeof asked.id !== 'string' || asked.id === '' || asked.id.length > 64) throw new Error('tap: expected an id of 1 to 64 characters');
  const given = 'filter' in asked && typeof asked.filter === 'object' && asked.filter !== null ? asked.filter as Readonly<Record<string, unknown>> : {};
  const filter: Record<string, string> = {};
  for (const [name, form] of Object.entries(forms)) {
    const value = given[name];
    if (value === undefined) continue;
    if (typeof value !== 'string' || !form.test(value)) throw new Error(`tap: ${name} is not as expected`);
    filter[name] = value;
  }
  return { id: asked.id, filter };
}

const forms: Readonly<Record<string, RegExp>> = { side: /^(?:inbound|outbound|gateway)$/, method: /^[!-~]{1,32}$/, path: /^\/[ -~]{0,511}$/, status: /^[1-5](?:xx|\d\d)$/ };
