/** A request as it was meant; `serializeRequest` writes it, mutations then spoil it. */
export interface RequestModel {
  method: string;
  target: string;
  version: string;
  fields: [name: string, value: string][];
  body: BodyModel;
  /** Between name and value, and behind the value: what optional white space may be. */
  space: string;
}

export type BodyModel =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: string }
  | { readonly kind: 'chunked'; readonly chunks: readonly ChunkModel[]; readonly trailers: readonly [string, string][]; readonly lastSize: string };

export interface ChunkModel {
  /** As written: may have leading zeros or upper-case digits. */
  readonly size: string;
  /** Such as `;a=b`. */
  readonly extension: string;
  readonly bytes: string;
}

/** Latin-1 text of the bytes. Framing fields come last, so that mutations find them. */
export function serializeRequest({ method, target, version, fields, body, space }: RequestModel): string {
  let text = `${method} ${target} ${version}\r\n`;
  for (const [name, value] of fields) text += `${name}:${space}${value}\r\n`;
  switch (body.kind) {
    case 'none':
      return `${text}\r\n`;
    case 'length':
      return `${text}Content-Length:${space}${body.bytes.length}\r\n\r\n${body.bytes}`;
    case 'chunked':
      text += `Transfer-Encoding:${space}chunked\r\n\r\n`;
      for (const { size, extension, bytes } of body.chunks) text += `${size}${extension}\r\n${bytes}\r\n`;
      text += `${body.lastSize}\r\n`;
      for (const [name, value] of body.trailers) text += `${name}: ${value}\r\n`;
      return `${text}\r\n`;
  }
}
