import { parseIpAddress } from '@remora/core/ip-address';

/** An instance as a source describes it. */
export interface FoundInstance {
  /** Unique among the answers of its source for one Service, and the same as long as it is the same instance. At most 253 characters. */
  readonly id: string;
  /** In order of their names; a port of the Service that is missing is not served by it. */
  readonly ports: readonly { readonly name: string; readonly host: string; readonly port: number }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: string;
  /** 0: gets nothing while others can be used. */
  readonly weight: number;
  readonly backup: boolean;
  /** It is leaving, or not ready any more: what runs may end, nothing new is sent. */
  readonly draining: boolean;
}

/** Instances of one answer. Beyond, the first by id are used and it is said. */
export const instancesPerAnswerMax = 10_000;
const problemsMax = 16;
const weightMax = 1_000_000;

/** What of an answer can be used, sorted by id, and sentences on the rest. A source may be wrong, and may lie. */
export function usableInstances(found: readonly FoundInstance[], problems: readonly string[]): { readonly instances: readonly FoundInstance[]; readonly problems: readonly string[] } {
  const said = problems.slice(0, problemsMax);
  const say = (text: string): void => {
    if (said.length < problemsMax) said.push(text);
  };
  const byId = new Map<string, FoundInstance>();
  for (const one of found) {
    const wrong = wrongWith(one);
    if (wrong !== null) say(`${one.id.slice(0, 100)}: ${wrong}; it is left out`);
    else if (byId.has(one.id)) say(`${one.id}: it is named twice; the first is used`);
    else byId.set(one.id, one.weight > weightMax ? { ...one, weight: weightMax } : one);
  }
  const instances = [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  if (instances.length > instancesPerAnswerMax) say(`the answer has ${instances.length} instances; ${instancesPerAnswerMax} are used`);
  return { instances: instances.slice(0, instancesPerAnswerMax), problems: said };
}

function wrongWith({ id, ports, weight }: FoundInstance): string | null {
  if (id === '' || id.length > 253) return 'its name is empty or longer than 253 characters';
  if (ports.length === 0) return 'it serves no port of the Service';
  for (const { name, host, port } of ports) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) return `its port ${name} is ${port}`;
    const address = addressProblem(host);
    if (address !== null) return address;
  }
  return Number.isInteger(weight) && weight >= 0 ? null : `its weight is ${weight}`;
}

const words = new Uint32Array(4);

/** Nobody can be called at these; names are looked up by the sidecar. */
function addressProblem(host: string): string | null {
  const family = parseIpAddress(host, words);
  if (family === 0) return hostPattern.test(host) && !/^[\d.]+$/.test(host) ? null : `${JSON.stringify(host.slice(0, 60))} is no address`;
  const first = family === 4 ? (words[3] as number) >>> 24 : (words[0] as number) >>> 24;
  if (family === 4 && (first === 0 || first >= 224)) return `${host} is no address of a host`;
  if (family === 6 && (first === 0xff || words.every((word) => word === 0))) return `${host} is no address of a host`;
  return null;
}

const hostPattern = /^(?=.{1,253}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$/;
