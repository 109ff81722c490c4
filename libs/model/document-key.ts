/** `Policy/orders-api`: kind and name, unique in a mesh. */
export type DocumentKey = `${string}/${string}`;

export function documentKey(document: { readonly kind: string; readonly name: string }): DocumentKey {
  return `${document.kind}/${document.name}`;
}

export const documentKinds = ['Mesh', 'Service', 'Gateway', 'Route', 'Policy', 'Consumer', 'Plan', 'Canary'] as const;
export type DocumentKind = (typeof documentKinds)[number];

/** Kinds of the vocabulary that this build cannot enforce: refused as such, never ignored. */
export const reservedDocumentKinds: readonly string[] = ['Product'];

export function isDocumentKind(text: string): text is DocumentKind {
  return (documentKinds as readonly string[]).includes(text);
}
