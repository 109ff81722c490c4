/** What a listener of a Gateway speaks: what its document says, else `https` where it has `tls`, else `http`. */
export function listenerProtocol(listener: { readonly protocol?: string | undefined; readonly tls?: object | undefined }): string {
  return listener.protocol ?? (listener.tls === undefined ? 'http' : 'https');
}
