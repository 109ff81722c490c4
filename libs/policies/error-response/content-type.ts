/** `application/json` and everything that ends with `+json`. */
export function isJsonType(contentType: string): boolean {
  return /^[^;]*[/+]json\s*(?:;|$)/i.test(contentType);
}

/** How a variable's value is written in a body of this type, so that it cannot become markup or structure. */
export function escapeFor(contentType: string): ((value: string) => string) | undefined {
  if (isJsonType(contentType)) return (value) => JSON.stringify(value).slice(1, -1);
  return /^[^;]*[/+](?:html|xml|svg)\s*(?:;|$)/i.test(contentType) ? escapeMarkup : undefined;
}

const markup: ReadonlyMap<string, string> = new Map([['&', '&amp;'], ['<', '&lt;'], ['>', '&gt;'], ['"', '&quot;'], ['\'', '&#39;']]);

function escapeMarkup(value: string): string {
  return value.replace(/[&<>"']/g, (char) => markup.get(char) ?? char);
}

/**
 * Index of the type that `Accept` likes best (RFC 9110 section 12.5.1): exact names before `type/*` before `* / *`. Equal
 * ones in the order of the list; -1 where none is acceptable.
 */
export function negotiate(accept: string, types: readonly string[]): number {
  const ranges = accept.slice(0, acceptLengthMax).split(',').slice(0, rangesMax).map(parseRange);
  let best = -1;
  let bestQuality = 0;
  types.forEach((type, index) => {
    const quality = qualityOf(bareType(type), ranges);
    if (quality > bestQuality) {
      best = index;
      bestQuality = quality;
    }
  });
  return best;
}

const acceptLengthMax = 2048;
const rangesMax = 32;

interface MediaRange {
  readonly type: string;
  readonly quality: number;
}

function parseRange(text: string): MediaRange {
  const [type = '', ...parameters] = text.split(';');
  let quality = 1;
  for (const parameter of parameters) {
    const found = /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i.exec(parameter);
    if (found) quality = Math.min(1, Number(found[1]));
  }
  return { type: type.trim().toLowerCase(), quality };
}

function bareType(type: string): string {
  const semicolon = type.indexOf(';');
  return (semicolon < 0 ? type : type.slice(0, semicolon)).trim().toLowerCase();
}

/** The quality of the most specific range that takes the type. */
function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  const family = `${type.slice(0, type.indexOf('/'))}/*`;
  let specificity = 0;
  let quality = 0;
  for (const range of ranges) {
    const level = range.type === type ? 3 : range.type === family ? 2 : range.type === '*/*' ? 1 : 0;
    if (level > specificity || (level === specificity && level > 0 && range.quality > quality)) {
      specificity = level;
      quality = range.quality;
    }
  }
  return quality;
}
