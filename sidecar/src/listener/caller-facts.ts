import { HeaderAliases } from '@remora/http/header-aliases';
import { headerId, makeField } from '@remora/http/header-ids';
import type { Field } from '@remora/http/head';
import type { MessageHead } from '@remora/http/message-head';
import { fingerprintOf, type MeshPeer } from '../tls/mesh-identity.ts';

/** A caller that showed a certificate of the mesh, as the exchanges of its connection need it. Made once for each connection. */
export class CallerFacts {
  readonly peer: MeshPeer;
  /** `x-forwarded-client-cert`, as Envoy writes it. */
  readonly #field: Field;
  /** A gateway of the mesh: it knows who is behind it. */
  readonly #speaksForOthers: boolean;

  /** `by`: the SPIFFE id of this side. */
  constructor(peer: MeshPeer, by: string) {
    this.peer = peer;
    this.#field = makeField('x-forwarded-client-cert', `By=${by};Hash=${fingerprintOf(peer.certificate)};URI=${peer.spiffeId}`);
    this.#speaksForOthers = peer.spiffeId.startsWith(`spiffe://${peer.trustDomain}/gateway/`);
  }

  /** Tells the app who called. What a gateway said about its client stands before it; what anybody else said goes. */
  tell(head: MessageHead): void {
    const said = this.#speaksForOthers && head.has(clientCertHeader) ? valuesOf(head) : '';
    head.removeAliases(clientCertAliases);
    head.put(said === '' ? this.#field : makeField(this.#field.name, `${said},${this.#field.value}`));
  }
}

/** Nobody known came: what a stranger says about certificates is not passed on, in any spelling. */
export function forgetClientCert(head: MessageHead): void {
  head.removeAliases(clientCertAliases);
}

function valuesOf(head: MessageHead): string {
  const values: string[] = [];
  for (let nth = 0; nth < head.count(clientCertHeader); nth++) values.push(head.valueAt(clientCertHeader, nth));
  return values.join(',');
}

const clientCertHeader = headerId('x-forwarded-client-cert');
const clientCertAliases = new HeaderAliases(['x-forwarded-client-cert']);
