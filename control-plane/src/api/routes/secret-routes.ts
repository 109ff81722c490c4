import { z } from 'zod';
import { IdentityError } from '../../identity/identity-error.ts';
import { SecretError } from '../../secrets/secret-error.ts';
import { secretReferences } from '../../secrets/secret-references.ts';
import { filePattern, variablePattern } from '../../secrets/secret-sources.ts';
import { secretLimits, secretNamePattern, sourceText } from '../../secrets/secret.ts';
import type { SecretStatus } from '../../secrets/secret.ts';
import { WriteError } from '../../write/write-error.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { readJsonBody } from '../json-body.ts';
import { pageOf } from '../page-of.ts';
import { limitParameter, nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { secretListShape, secretRekeyShape, secretShape } from '../shapes/secret-shape.ts';

const tag = 'Secrets';
const page = z.object({ limit: limitParameter(1_000, 200), after: nameParameter.optional().describe('`next` of the page before') });
const secretName = z.string().regex(secretNamePattern, { error: 'expected a name of letters, digits, ., _ and -, at most 127 characters' });
const params = z.object({ name: secretName });

const vaultPart = z.string().min(1).max(512).regex(/^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/, { error: 'expected letters, digits, ., _, - and / between them' });

const setBody = z.strictObject({
  value: z.string().min(1).max(secretLimits.valueBytes).optional().describe('The value as text'),
  base64: z.base64().max(Math.ceil(secretLimits.valueBytes * 4 / 3) + 4).optional().describe('The value as bytes, in base64'),
  file: z.string().regex(filePattern, { error: 'expected the plain name of a file in --secrets-dir' }).optional().describe('A file on the host of the control plane, in the folder for secrets'),
  environment: z.string().regex(variablePattern, { error: 'expected a variable REMORA_SECRET_…' }).optional().describe('A variable of the control plane\'s environment'),
  vault: z.strictObject({ mount: vaultPart.default('secret'), path: vaultPart, field: z.string().min(1).max(256) }).optional().describe('A field of HashiCorp Vault\'s key-value store, version 2'),
});

/** Values that documents refer to by name: written, never read back. */
export function secretRoutes(ports: ApiPorts): ApiRoute[] {
  return [listRoute(ports), getRoute(ports), setRoute(ports), deleteRoute(ports), rekeyRoute(ports)];
}

function listRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/secrets', operationId: 'listSecrets', tag, right: { role: 'viewer', scoped: 'refused' }, summary: 'Secrets by name, without their values',
    description: 'Names that settings refer to and nobody has set are listed as `missing`.',
    query: page, answers: { 200: { description: 'One page', schema: secretListShape } },
    handle: ({ query }) => ({ status: 200, audit: { listed: 'secrets' }, body: pageOf(allSecrets(ports), query, ({ name }) => name, (one) => one) }),
  });
}

function getRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/secrets/{name}', operationId: 'getSecret', tag, right: { role: 'viewer', scoped: 'refused' }, summary: 'What is known of one Secret: everything but its value',
    description: 'No path of this API answers with a value.',
    params, answers: { 200: { description: 'The Secret', schema: secretShape } }, problems: ['not-found'],
    handle: ({ params: { name } }) => ({ status: 200, audit: { name }, body: secretOf(ports, name) }),
  });
}

function setRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'PUT', path: '/v1/secrets/{name}', operationId: 'setSecret', tag, right: { role: 'editor', scoped: 'refused' }, summary: 'Sets the value of a Secret, or where it comes from',
    description: 'Exactly one of `value`, `base64`, `file`, `environment` and `vault`. What comes from elsewhere is read now, and again at intervals. The same value is no new version.',
    params, body: { kind: 'json', maxBytes: 256 * 1024, description: '`{"value": "…"}`', schema: setBody },
    answers: { 200: { description: 'What is known of it', schema: secretShape } }, problems: ['no-encryption-key', 'secret-source-failed', 'too-many-secrets'],
    async handle({ params: { name }, body, author }) {
      const given = readJsonBody(setBody, body);
      if (Object.values(given).filter((one) => one !== undefined).length !== 1) throw new ApiError('bad-parameter', 'expected exactly one of value, base64, file, environment and vault');
      const status = await refusals(async () => set(ports, name, given, author));
      return { status: 200, headers: { 'cache-control': 'no-store' }, audit: { version: status.version, source: status.source.kind, bytes: status.bytes }, body: secretOf(ports, name) };
    },
  });
}

async function set({ secrets, secretRefresher }: ApiPorts, name: string, given: z.output<typeof setBody>, author: string): Promise<SecretStatus> {
  if (given.file !== undefined) return secretRefresher.set(name, { kind: 'file', file: given.file }, author);
  if (given.environment !== undefined) return secretRefresher.set(name, { kind: 'environment', variable: given.environment }, author);
  if (given.vault !== undefined) return secretRefresher.set(name, { kind: 'vault', ...given.vault }, author);
  return secrets.set({ name, author, source: { kind: 'literal' }, value: given.base64 === undefined ? Buffer.from(given.value ?? '') : Buffer.from(given.base64, 'base64') });
}

function deleteRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'DELETE', path: '/v1/secrets/{name}', operationId: 'deleteSecret', tag, right: { role: 'editor', scoped: 'refused' }, summary: 'Deletes a Secret that no document names',
    params, answers: { 200: { description: 'What was known of it', schema: secretShape } }, problems: ['not-found', 'referred'],
    handle({ params: { name } }) {
      if (!ports.secrets.find(name)) throw notThere(name);
      const referrers = secretReferences(ports.store.documents().values()).filter((one) => one.name === name);
      if (referrers.length > 0) {
        throw new WriteError('referred', `Secret ${name} cannot be deleted: ${referrers.slice(0, 10).map(({ from }) => from).join(', ')}${referrers.length > 10 ? ` and ${referrers.length - 10} more` : ''} still refer to it`, {
          facts: { referrers: referrers.slice(0, 1_000).map(({ from, pointer }) => ({ from, pointer, to: `Secret/${name}` })) },
        });
      }
      const body = secretOf(ports, name);
      ports.secrets.remove(name);
      return { status: 200, body };
    },
  });
}

function rekeyRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/secrets-rekey', operationId: 'rekeySecrets', tag, right: { role: 'admin', scoped: 'refused' }, summary: 'Seals every Secret and credential anew, with the encryption key of today',
    description: 'After a restart with a new key and the one before as the previous one. Then the previous one can go.',
    answers: { 200: { description: 'How many', schema: secretRekeyShape } }, problems: ['no-encryption-key'],
    async handle() {
      const counts = await refusals(async () => ({ secrets: ports.secrets.reseal(), credentials: ports.credentials.reseal() }));
      return { status: 200, audit: counts, body: { ...counts, encrypted: ports.sealer.encrypts } };
    },
  });
}

async function refusals<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof IdentityError && error.code === 'no-key') throw new ApiError('no-encryption-key', error.message);
    throw error instanceof SecretError ? refusalOf(error) : error;
  }
}

function refusalOf({ code, message }: SecretError): ApiError {
  if (code === 'source-failed') return new ApiError('secret-source-failed', message);
  return new ApiError(code === 'too-many-secrets' ? code : 'bad-parameter', message);
}

interface SecretAnswer {
  readonly name: string;
  readonly [fact: string]: unknown;
}

function secretOf(ports: ApiPorts, name: string): SecretAnswer {
  const found = allSecrets(ports).find((one) => one.name === name);
  if (!found) throw notThere(name);
  return found;
}

function notThere(name: string): ApiError {
  return new ApiError('not-found', `there is no Secret ${name}`);
}

/** By name, with those that are only referred to. */
function allSecrets({ secrets, secretItems, store }: ApiPorts): SecretAnswer[] {
  const needed = secretItems.needed();
  const referred = Map.groupBy(secretReferences(store.documents().values()), ({ name }) => name);
  const uses = (name: string): Pick<SecretAnswer, 'usedBy' | 'referredBy'> => ({ usedBy: [...(needed.get(name) ?? [])].sort(), referredBy: [...new Set((referred.get(name) ?? []).map(({ from }) => from))].sort() });
  const known = secrets.list().map((one): SecretAnswer => ({
    name: one.name, state: one.problem === '' ? 'good' : 'stale', source: sourceText(one.source), version: one.version, bytes: one.bytes, createdAt: timeText(one.createdMs), changedAt: timeText(one.changedMs),
    readAt: one.readMs === null ? null : timeText(one.readMs), author: one.author, problem: one.problem === '' ? null : one.problem, ...uses(one.name),
  }));
  const there = new Set(known.map(({ name }) => name));
  const missing = [...new Set([...needed.keys(), ...referred.keys()])].filter((name) => !there.has(name)).map((name): SecretAnswer => ({
    name, state: 'missing', source: '', version: '', bytes: 0, createdAt: null, changedAt: null, readAt: null, author: '', problem: 'was never set', ...uses(name),
  }));
  return [...known, ...missing].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
