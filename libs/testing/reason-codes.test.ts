import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { reasons, type Reason } from '@remora/errors/reason';
import { runtimeKinds } from '@remora/sidecar/kinds';
import { describe, expect, test } from 'vitest';
import { expectGolden } from './golden.ts';
import { readPolicyFolders } from './policy-folders.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** What happened, and what to do about it, by reason code. Codes and texts must name the same reasons: see the tests. */
const advice: Readonly<Record<string, readonly [meaning: string, todo: string]>> = {
  'bad-request': [
    'The request line, a field or the framing of the body breaks RFC 9110 or 9112, or a condition of a Route could not be evaluated. The connection is closed.',
    'Correct the client. Where a request was understood by another proxy before, look for a bare LF, a space before a colon, two lengths, or a length beside `chunked`.',
  ],
  'bad-path': [
    'The path has a spelling that upstreams read in different ways (`%2F`, `//`, `/../`, `;`, a backslash), or one that is never accepted (`#`, `%00`, `%252e`).',
    'Correct the client; or allow the spelling by `pathRules` of the Mesh, Service or Gateway.',
  ],
  'plaintext-on-tls': ['A request without TLS came to a listener of protocol https. It is answered before anything of it is read, and the connection is closed.', 'Use https:// in the address. A second listener with `redirect: https` sends browsers there.'],
  'connection-outdated': ['The listener has come to want TLS, or other client certificates, since the connection was made. Nothing is taken on it any more, and it is closed.', 'Clients connect again by themselves; nothing to do.'],
  'certificate-outdated': ['A caller of the mesh goes on with a connection whose certificate has expired since, was revoked, or leads to a root that is trusted no more. Nothing is taken on it any more, and it is closed.', 'Sidecars connect again by themselves, with what they have then. `remora doctor` on the caller\'s host shows its certificate; is its clock right?'],
  'headers-too-large': ['The request head, or the trailers, exceed `requestLimits.headerBytes` or `headerCount`. The connection is closed.', 'Look for a cookie that grows; else raise the limit.'],
  'http-version-not-supported': ['The request says another version than HTTP/1.0 or 1.1.', 'Use HTTP/1.1: HTTP/2 is not in this build.'],
  'method-not-implemented': ['An extended CONNECT over HTTP/2 for another protocol than `websocket`.', 'Not available in this build.'],
  'connect-refused': ['A CONNECT request where none is taken: at a gateway or an inbound port, or on an outbound side whose Mesh does not say `connect: declared`.', 'From an app: `connect: declared` in the Mesh, or a port of its own for the destination (`--outbound-for`). From outside: use the gateway as the server, not as an HTTPS proxy; for TLS to a service there are listeners with `protocol: tls`.'],
  'connect-port': ['A CONNECT to a declared destination, but to a port that it does not have, or that carries requests.', 'Requests go to the outbound port as they are, with the service as their host (`http_proxy`), so that Routes and policies hold for each. For bytes that nobody shall look into, give the port `protocol: tcp` or `tls`.'],
  'expectation-failed': ['An `Expect` other than `100-continue`.', 'Leave the field out.'],
  'tunnel-superseded': ['A WebSocket, another upgrade or a TCP connection outlived 16 configurations: it was the oldest of those still on the seventeenth. A WebSocket got a Close frame with 1012.', 'Let clients connect again; edit less often, or in one apply.'],
  'tunnel-revoked': ['A policy with `revoke: true` does not allow a WebSocket, another upgrade or a TCP connection any more that it, or its predecessor, had let in. A WebSocket got a Close frame with 1008.', 'See the policy and field of the refusal.'],
  'tunnel-bytes': ['A WebSocket, another upgrade or a TCP connection has carried `requestLimits.tunnelBytes`. A WebSocket got a Close frame with 1008.', 'Let the client connect again; raise the limit where that is too often.'],
  'request-timeout': ['The head took longer than `requestLimits.headerTimeout`, or the body was silent for `bodyTimeout` or slower than `minBodyRate`.', 'A slow or hostile client; raise the limit for slow networks.'],
  'downstream-reset': ['The client closed the connection before the answer was complete; nothing is sent.', 'Compare the client\'s timeout with the time the service takes.'],
  'no-route': ['No Route of the gateway matches host, path and conditions, the listener does not serve that host, or the port is not part of the configuration.', 'Ask `POST /v1/explain`, or `GET /route` of the sidecar\'s admin port, with the request.'],
  'unknown-destination': ['The app called a name that its Service does not declare, or asked for it by CONNECT. Addresses are never resolved or connected as they come.', 'Add it to `dependsOn` of the calling Service, or correct the name.'],
  'no-healthy-upstream': ['No instance of the destination is known, or none fits the labels that the Route asks for. The detail says which.', 'See `remora sidecars --service NAME`: are instances connected, in sync, their apps ready? Static endpoints stand in the Service.'],
  'no-destination': ['A Route has several destinations, and none of them has an instance.', 'As for `no-healthy-upstream`, for each of them.'],
  'destination-failed': ['Never in a response: the destination answered with a status or a gRPC code that `fallback.when` names, and the fallback answered instead. `fallback` in the access log says which.', 'Look at the destination: its own log has these requests. The client has had an answer.'],
  'connect-failure': ['The connection to the chosen instance was refused or broke before it was made, on every attempt. On an inbound side: the app is not listening.', 'Start the app; for static endpoints check address and port.'],
  'upstream-tls-failed': ['The TLS handshake with the instance failed: it speaks no TLS on that port, no common version, cipher suite or ALPN protocol, or it refused our certificate.', 'See `tls` of the Service\'s port; `openssl s_client -connect HOST:PORT` shows what the instance offers.'],
  'upstream-tls-untrusted': ['The certificate chain of the instance leads to no authority of `tls.caFiles` (without it: of the system), or is not valid now.', 'Give the authority in `caFiles`; has the certificate expired, does the instance send the certificates in between?'],
  'upstream-tls-name': ['The certificate is valid, but names neither `tls.serverName` (without it: the endpoint\'s address) nor one of `acceptedNames`. Common names are not looked at.', 'Set `serverName` to what the certificate names.'],
  'upstream-identity': ['The instance announces mTLS, and did not prove to be of the service: its certificate is of another service or trust domain, leads to no root, is not valid now, or was revoked; or no handshake came about. Never followed by a try in plaintext.', 'See `remora sidecars --service NAME` and `remora doctor` on its host: certificate, clock, roots. Does another process listen at that address?'],
  'upstream-tls-configuration': ['A file that `tls` of the Service\'s port names cannot be used on this host.', 'See `remora_tls_certificate_problem`, and `certificates` in `GET /status` of the sidecar\'s admin port.'],
  'connect-timeout': ['The instance did not accept the connection within `timeout.connect`, on every attempt.', 'A host that is gone, a full backlog, a firewall that drops.'],
  'upstream-reset': ['The instance closed the connection before its answer was complete.', 'Look at the instance: a crash, or an idle timeout shorter than its `Keep-Alive` says. `retry.retryOn: [reset]` covers idempotent methods.'],
  'refused-stream': ['An HTTP/2 instance refused the request before looking at it, and refused its repetition too.', 'It takes no more streams, or is stopping: add instances, or see why they refuse. `retry` makes such a request again once, and more often with `retryOn: [refused-stream]`.'],
  'upstream-protocol-error': ['The answer is not valid HTTP/1.1, has a head above 64 KiB or 256 fields, or more than 16 interim answers.', 'Correct the app; `curl -v` straight to it shows what it sends.'],
  'upstream-timeout': ['No response head within `timeout.request` (or `perTry`, or the time the caller still had).', 'Is the service slow, or the limit too short? `remora explain --field /timeout` says who set it.'],
  'stream-idle': ['After the response head nothing moved in either direction for `timeout.idle`.', 'Streams that are silent for long need a longer `idle`, or keep-alive messages.'],
  'max-stream-duration': ['The call lasted longer than `timeout.maxStream`, or than `grpc-timeout` allows.', 'Raise the limit where long streams are meant.'],
  'upstream-overflow': ['1,024 connections of one data thread to one address are busy, and 1,024 calls wait for one.', 'The instance is too slow for its load: add instances.'],
  overload: ['The sidecar has no room for the request: its event loop is late, or its memory is nearly used up. The detail says which.', 'Try again after `Retry-After`, at another instance. See Overload in operations.md: more instances, workers, or memory.'],
  draining: ['A WebSocket, another upgrade or a TCP connection was still open when the time to drain was over. A WebSocket got a Close frame with 1001.', 'Let clients connect again; a longer `--drain-timeout` gives them more time. Requests are finished while an instance drains.'],
  'no-configuration': ['The sidecar has neither a snapshot on disk nor one from a control plane.', 'See `GET /status` of its admin port: is it in contact, was it rejected, and why?'],
  'filter-failed': ['A policy, or the writing of a head, failed unexpectedly. A filter that cannot decide refuses.', 'A defect: report it with the detail from `remora why`.'],
  'loop-detected': ['The request came here for the fourth time, or passed 64 sidecars and gateways, as `x-remora-hop` says.', 'An address on its way leads back: look for a Service whose endpoint is the gateway that serves it, for gateways that point at each other, for an app port that is a port of the sidecar.'],
  'grpc-message-too-large': ['A gRPC message of the request is longer than `requestLimits.grpcMessageBytes`.', 'Raise the limit where such messages are meant, or split them.'],
  'body-too-large': ['The request body is longer than `requestLimits.bodyBytes`.', 'Raise the limit for the Route that takes uploads.'],
  'mtls-required': ['The service (or the port) takes callers of the mesh only, and the caller showed no certificate: it has no sidecar, its sidecar has no identity, or the call went around it.', 'Let it call through its sidecar, with a join token. `remora mtls status SERVICE` lists who comes in plaintext; `mtls.ports` makes exceptions for probes and scrapes.'],
  'ip-denied': ['`ipAccess` denies the client\'s address, or does not allow it.', 'Behind a load balancer: is it among `trustedProxies` of the Mesh? `remora why` shows the address that was judged.'],
  'authentication-required': ['What `authentication.require` asks for was not shown: no credential, or fewer than all that are needed. `www-authenticate` says what is taken.', 'Send a credential; `remora can` says which kinds are asked for there. Paths that need none go into `authentication.exempt`.'],
  'consumer-unmapped': ['The credential is valid, and no Consumer has it, where `authentication.unmapped` is `refuse`.', 'Give a Consumer the credential, or the identity (issuer, claim and value) that the token shows.'],
  'authorization-denied': ['A rule of `authorization` denies it, none allows it where something must, or a rule could not be evaluated. The pointer names the rule, the detail says which of the three.', '`remora can` with the same request, caller and token shows what decides. An expression fails where it asks for a claim that is missing: `has(claims.x) && …`.'],
  'external-auth-body-too-large': ['`externalAuth` tells its authorizer the body, the body is longer than `body.maxBytes`, and `allowPartial` does not say that its beginning is enough. Nothing was sent on.', 'Raise `body.maxBytes` where such bodies are meant, or let the authorizer decide by the beginning: `allowPartial: true`.'],
  'external-auth-denied': ['The authorizer of `externalAuth` denies it; status, headers and body are its own.', 'See the authorizer\'s log, by `x-request-id`.'],
  'external-auth-failed': ['The authorizer gave no answer in time, none that is understood, or a status of 500 or more; after five such failures it is left alone for a second. The detail says which.', 'Does it run, does `externalAuth.deadline` suffice, may its address be asked (`allowPrivateAddresses`)? `onFailure: allow` lets requests in meanwhile.'],
  'client-certificate-refused': ['The client\'s certificate is believed by the listener, and is none of those in `clientCertificate.accept`.', 'Name it there: `openssl x509 -noout -subject -ext subjectAltName -fingerprint -sha256` shows what it says.'],
  'client-certificate-expired': ['The client\'s certificate has expired since its connection was made.', 'Let the client connect again, with a new one.'],
  'client-certificate-revoked': ['The client\'s certificate, or an authority above it, is on a list of `clientCertificate.crlFiles`.', 'Let the client get another certificate; where it is on the list by mistake, its authority makes a new list.'],
  'client-certificate-unchecked': ['No current list of `clientCertificate.crlFiles` is of the authority that issued the certificate, or one of the files is not there: whether it is revoked cannot be told.', 'The sidecar\'s log and `remora_tls_certificate_problem` name the file and what is wrong. Is the time of its next update over? `onExpiredCrl: allow` takes it all the same.'],
  'api-key-invalid': ['`apiKey`: nobody has the key that was shown, or there was more than one.', 'See `remora consumer key list NAME`: was it revoked? Is it the whole key, and in one place only?'],
  'api-key-expired': ['`apiKey`: the key is past its end.', '`remora consumer key create NAME --replaces ID` makes its successor.'],
  'api-key-warming': ['`apiKey`: this sidecar has not heard of any consumers since its disk was empty.', 'It goes by itself with the first state from the control plane; see `remora sidecars` where it stays.'],
  'basic-auth-invalid': ['`basicAuth`: name or password is wrong, or cannot be read as RFC 7617 writes them.', 'See `remora consumer key list NAME`; passwords are UTF-8, in base64 with padding.'],
  'basic-auth-expired': ['`basicAuth`: the password is right, and past its end.', '`remora consumer key create NAME --kind basic --replaces ID` makes its successor.'],
  'basic-auth-overload': ['`basicAuth`: more passwords that were not seen before than a data thread verifies and lets wait.', 'Somebody may be guessing: limit by address with `rateLimit`, which runs before. Right passwords are verified once only.'],
  'basic-auth-warming': ['`basicAuth`: this sidecar has not heard of any consumers since its disk was empty.', 'As for `api-key-warming`.'],
  'signature-invalid': ['`hmac`: the signature cannot be read, is by no key that somebody has, or is not over this request as it came.', 'The detail says which. Was the request changed on its way (Host, path, query, a header that is covered)?'],
  'signature-incomplete': ['`hmac`: the signature does not cover what `components` and `contentDigest` ask for, or lacks `created` or a nonce.', 'The detail names what is missing; let the client cover it.'],
  'signature-expired': ['`hmac`: the signature is older than `maxAge`, from the future, or past its `expires`; or its key is past its end.', 'Are both clocks right? Sign each request anew.'],
  'signature-replayed': ['`hmac`: the nonce of the signature was used before.', 'Sign each request, a repeated one too, with a nonce of its own. Otherwise somebody sends what they saw again.'],
  'content-digest-mismatch': ['`hmac`: the body is not the one whose digest was signed. Upstream saw a reset instead of its end.', 'Was the body changed on its way (compression, another encoding of JSON)?'],
  'signature-overload': ['`hmac`: more signatures by public keys than are verified at once.', 'Add instances; shared secrets cost less.'],
  'signature-warming': ['`hmac`: this sidecar has not heard of any consumers since its disk was empty.', 'As for `api-key-warming`.'],
  'cors-preflight': ['A preflight was answered; nothing was refused.', 'Nothing.'],
  'cors-origin-denied': ['A preflight came from an origin that no entry of `cors` allows.', 'Add the origin, where the page is yours.'],
  'fault-injected': ['`fault` aborted the request, on purpose. The status is the one the policy names.', 'Let it end (`until`), or delete the policy.'],
  'introspection-invalid': ['What stands where tokens stand cannot be one, or there was more than one; or a claim cannot stand in its header.', 'Correct the client; the detail says what is wrong.'],
  'introspection-inactive': ['The introspection endpoint says that the token is not active: over, revoked, or never given out.', 'Get a new one.'],
  'introspection-audience': ['The token is meant for another service: none of `audiences` is in its `aud`.', 'Ask the issuer for a token for this service.'],
  'introspection-scope': ['The token does not have all of `scopes`.', 'The detail names the scope; ask the issuer for it.'],
  'introspection-unavailable': ['The introspection endpoint does not answer, refuses the client\'s own secret, or its breaker is open. Tokens that are remembered go on.', 'The detail says which; is the Secret right, and may the address be connected to (`allowPrivateAddresses`)?'],
  'introspection-secret': ['The Secret with the password of the gateway at the introspection endpoint is not set, or has not come to this sidecar yet. Nobody was asked.', '`remora secret list` shows what is missing and who needs it; `remora secret set NAME`. It is in force at once.'],
  'introspection-overload': ['Too many requests wait for the introspection endpoint.', 'It is too slow for the number of new tokens: a longer `cacheFor`, or `jwt` where tokens can be verified without it.'],
  'oidc-redirect': ['No failure: a browser is sent to the issuer to log in, back to where it wanted to go, or away after a logout.', 'Nothing to do. A browser that goes round in circles loses its cookie: is TLS in front, and does `cookie.domain` fit the host?'],
  'oidc-state': ['A callback without the cookie of its login, with another `state`, after ten minutes, a second time, or with a code that the issuer does not take.', 'Begin again. Where it happens always: is TLS in front, does the login end on the host it began on, do several tabs log in at once?'],
  'oidc-denied': ['The issuer sent the browser back with an error instead of a code; the detail has its word.', 'May this user use this client? The log of the issuer says more.'],
  'oidc-cross-site': ['The browser says that another site asked for the logout.', 'Link to the logout from pages of the same origin.'],
  'oidc-token': ['The ID token of a login is not of this issuer, client, user or login, not valid now, or not signed by the issuer; the detail says which.', 'Compare `issuer` and `clientId` with the client at the issuer, and the clocks.'],
  'oidc-session-size': ['Claims and refresh token do not fit into one cookie.', 'Name fewer `claims`, or let the issuer give smaller refresh tokens to this client.'],
  'oidc-unavailable': ['The issuer does not answer or does not accept the client, its breaker is open, or a Secret is missing or shorter than 16 bytes. Sessions whose tokens hold go on.', 'The detail says which; may the address be connected to (`allowPrivateAddresses`)?'],
  'oidc-secret': ['The Secret with the client\'s password at the issuer, or the one that keys of cookies are made of, is not set, has not come to this sidecar yet, or is shorter than 16 bytes.', '`remora secret list` shows what is missing and who needs it; `remora secret set NAME`. It is in force at once.'],
  'oidc-overload': ['Too many requests wait for the issuer.', 'It is too slow for the number of logins.'],
  'jwt-invalid': ['The token cannot be read or is not of the kind that is accepted; the detail says what is wrong: its form, algorithm, `typ`, a missing `exp`, or that there was more than one.', 'Correct the client, or what its issuer puts into tokens; `jwt` lists what is accepted.'],
  'jwt-expired': ['The token is over, or older than `maximumAge`.', 'Get a new one. Where fresh tokens are refused, compare the clocks of issuer and sidecar.'],
  'jwt-early': ['The token says that it holds from a later time on, or was made in the future.', 'Compare the clocks of issuer and sidecar; `leeway` bridges up to five minutes.'],
  'jwt-issuer': ['No entry of `jwt.issuers` has the `iss` of the token, letter for letter.', 'Compare `iss` with `issuer`: a slash at the end, http for https, and another realm are other issuers.'],
  'jwt-key': ['The token names a key that its issuer does not publish, or none of them fits its algorithm.', 'Is the token of this issuer, and of this realm? `remora sidecars NAME` shows when its keys were fetched.'],
  'jwt-signature': ['None of the issuer\'s keys has made the signature of the token.', 'The token was changed, or signed by somebody else.'],
  'jwt-audience': ['The token is meant for another service: none of `audiences` is in its `aud`.', 'Ask the issuer for a token for this service, or add what stands in `aud` where that is meant.'],
  'jwt-claims': ['The token is valid, and lacks what `requiredClaims` asks for; or one of `claimsToHeaders` cannot stand in a header.', 'The detail names the claim.'],
  'jwks-warming': ['The sidecar has not got the keys of the token\'s issuer yet.', 'Where it lasts, the issuer cannot be reached from there: the sidecar\'s log and `remora events` say why.'],
  'jwks-unavailable': ['The issuer has not answered for longer than `keysMaximumAge`.', 'Bring it back; the sidecar goes on trying, and takes up its keys by itself.'],
  'jwt-overload': ['More tokens that were not seen before come at once than can be verified.', 'Clients should keep their tokens for as long as they hold; a limit by address (`rateLimit`) stops those that do not.'],
  'circuit-open': ['`circuitBreaker` of the caller: the destination failed or was too slow for too many calls, or somebody opened the breaker by hand. The detail says which.', '`remora health SERVICE` shows who opened it and by which figures; look at the destination first. `remora breaker close SERVICE` closes it before its time.'],
  'concurrency-limited': ['`concurrency`: the service has as much under way as it can do in reasonable time; requests of the lowest priority go first.', 'Retry after `Retry-After`. Where it lasts, the service needs more instances; the detail shows the limit that was found.'],
  'rate-limited': ['A limit of `rateLimit` is used up; `Retry-After` says when to come again.', '`remora why` names policy and limit (`/limits/NAME`).'],
  'limit-store-unavailable': ['A limit of the fleet with `onStoreFailure: closed`, and the Redis of the Mesh says nothing.', 'Bring Redis back; sidecars go on trying. The log of the sidecar says what is wrong with it. `onStoreFailure: degrade` lets each instance take its part meanwhile.'],
  'quota-exceeded': ['A quota of the consumer\'s Plan is used up until the end of its period, which `Retry-After` says.', '`remora usage CONSUMER` shows what was used. Another Plan, or more `requests` in it, holds within a second.'],
  'quota-store-unavailable': ['`quota` with `onStoreFailure: closed`, and the Redis of the Mesh says nothing.', 'As for `limit-store-unavailable`.'],
};

interface Listed {
  readonly reason: Reason;
  /** Folder of the kind; null for the data path. */
  readonly folder: string | null;
  readonly kind: string;
}

const folders = new Map(readPolicyFolders().map(({ kind, folder }) => [kind, folder]));
const listed: readonly Listed[] = [
  ...Object.values(reasons).map((reason) => ({ reason, folder: null, kind: '' })),
  ...[...runtimeKinds.values()].flatMap((kind) => kind.reasons.map((reason) => ({ reason, folder: folders.get(kind.name) ?? null, kind: kind.name }))),
];

describe('reason codes', () => {
  test('each has a meaning and advice, and no other has', () => {
    expect(Object.keys(advice).sort()).toEqual(listed.map(({ reason }) => reason.code).sort());
  });

  test('those that the page calls reserved are those that the data path never gives', () => {
    const sources = readdirSync(path.join(root, 'sidecar/src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts')).map((file) => readFileSync(path.join(root, 'sidecar/src', file), 'utf8')).join('\n');
    const unused = Object.entries(reasons).filter(([name]) => !new RegExp(`\\breasons\\.${name}\\b`).test(sources)).map(([, reason]) => reason.code);
    expect(Object.entries(advice).filter(([, [, todo]]) => todo.startsWith('Reserved')).map(([code]) => code).sort()).toEqual(unused.sort());
  });

  test('the page in docs says what the code says', () => {
    expectGolden(path.join(root, 'docs/reason-codes.md'), reasonPage());
  });
});

function reasonPage(): string {
  const origins = { downstream: 'the client', upstream: 'the instance', internal: 'this sidecar', policy: 'a policy' };
  const retries = { never: 'no', always: 'yes', 'if-reused': 'on a kept-alive connection' };
  return [
    '# Reason codes',
    '',
    'Why Remora itself answered a request, or gave up on one. Made from `libs/errors/reason.ts`, the `reasons` of the policy kinds and',
    '`libs/testing/reason-codes.test.ts` by `npm run golden`.',
    '',
    'A refusal carries its code in `x-remora-reason` and in the body (`application/problem+json`; gRPC callers get a `grpc-status`), beside',
    '`x-remora-origin: remora` and `x-request-id`. The same code is in the access log (`reason`, with Envoy\'s response flag in `flag`), in',
    '`remora_refusals_total`, and in the answer of `remora why <request id>`, which adds hop, policy, field, revision and author.',
    '',
    '| code | status | Envoy flag | of | caused by | tried again |',
    '| --- | --- | --- | --- | --- | --- |',
    ...listed.map(({ reason, folder, kind }) => {
      const of = folder === null ? 'data path' : `[${kind}](../libs/policies/${folder}/README.md)`;
      return `| [\`${reason.code}\`](#${reason.code}) | ${statusText(reason)} | ${reason.flag} | ${of} | ${origins[reason.origin]} | ${retries[reason.retry]} |`;
    }),
    '',
    '*Tried again*: whether another attempt is safe whatever the method; what `retry` makes of it is on [its page](../libs/policies/retry/README.md).',
    '',
    ...listed.flatMap(({ reason }) => {
      const [meaning, todo] = advice[reason.code] ?? ['', ''];
      return [`## ${reason.code}`, '', `*${reason.title}* ${meaning}`, '', `**What to do.** ${todo}`, ''];
    }),
  ].join('\n');
}

function statusText({ code, status }: Reason): string {
  if (code === 'fault-injected') return 'as configured';
  return status === 0 ? 'none' : String(status);
}
